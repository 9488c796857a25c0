import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { networkidentities, partitions, vpcs } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { ALL_TENANTS } from '@centaurus/api'
import { SERVER_USER } from '@centaurus/apiserver'
import { systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { openEmbeddedStore, REVISION_SPAN, timedRevisions, withRevisionBase, type Store } from '@centaurus/store'
import { createAdminHome } from './testing/admin-home.ts'
import { runCli, type CliResult } from './testing/run-cli.ts'
import { TestCluster } from './testing/test-cluster.ts'
import { eventually, type TestPartition } from './testing/test-partition.ts'

const NAMESPACE = 'default'

/** A store on disk, of which there is a backup that it can be set back to. */
class BackedUp {
  readonly #path: string
  readonly #backup: string

  constructor(directory: string, name: string) {
    this.#path = join(directory, name)
    this.#backup = join(directory, `${name}-backup`)
  }

  open = async (index: number): Promise<Store> => {
    const store = await openEmbeddedStore({ path: this.#path, revisions: timedRevisions(systemClock) })
    return withRevisionBase(store, index * REVISION_SPAN)
  }

  async backUp(partition: TestPartition): Promise<void> {
    await partition.stop()
    await partition.loseStore((index) => {
      cpSync(this.#path, this.#backup, { recursive: true })
      return this.open(index)
    })
    await partition.start()
  }

  /** It does not run afterwards. */
  async restore(partition: TestPartition): Promise<void> {
    await partition.stop()
    await partition.loseStore((index) => {
      rmSync(this.#path, { recursive: true })
      cpSync(this.#backup, this.#path, { recursive: true })
      return this.open(index)
    })
  }
}

describe('a partition whose store was set back to an old backup', () => {
  const directory = mkdtempSync(join(tmpdir(), 'centaurus-restored-'))
  const stores = { home: new BackedUp(directory, 'home'), tp1: new BackedUp(directory, 'tp1') }
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant'], { openStore: stores.home.open })
    await cluster.add('tp1', ['Tenant'], { openStore: stores.tp1.open })
    await cluster.add('rp1', ['Resource'], { nodes: 1 })
    await cluster.untilReady()
    await cluster.createTenant('acme', 'tp1')
    const podSelector = { matchExpressions: [{ key: 'app', operator: 'Exists' }] }
    await acme().create(networkpolicies, { metadata: { name: 'by-app', namespace: NAMESPACE }, spec: { podSelector } })
    await run('before')
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const acme = (): Client => cluster.within('acme', 'tp1')
  const create = async (app: string): Promise<void> => {
    const spec = { containers: [{ name: 'c', image: 'x' }] }
    await acme().create(pods, { metadata: { name: app, namespace: NAMESPACE, labels: { app } }, spec })
  }
  const untilRunning = (app: string): Promise<void> =>
    eventually(
      `${app} to run`,
      async () => (await acme().get(pods, { namespace: NAMESPACE, name: app })).status?.phase === 'Running',
    )
  const run = async (app: string): Promise<void> => {
    await create(app)
    await untilRunning(app)
  }
  /** Number of the identity that pods with this label have; undefined: there is none. */
  const identityOf = async (app: string, client: Client = acme()): Promise<number | undefined> =>
    (await client.list(networkidentities)).items.find(({ spec }) => spec.labels['app'] === app)?.spec.id
  const untilIdentity = async (app: string, client?: Client): Promise<number> => {
    await eventually(`an identity of ${app}`, async () => (await identityOf(app, client)) !== undefined)
    return (await identityOf(app, client))!
  }
  /** What nodes of `rp1` know. */
  const onNodes = (): Client => cluster.part('rp1').plane.server.client({ ...SERVER_USER, tenant: ALL_TENANTS })
  const numberOf = async (client: Client, name: string): Promise<number | undefined> =>
    (await client.get(vpcs, { name })).status?.vni
  const makeVpc = async (client: Client, name: string): Promise<number> => {
    await client.create(vpcs, { metadata: { name } })
    await eventually(`${name} to have a number`, async () => (await numberOf(client, name)) !== undefined)
    return (await numberOf(client, name))!
  }
  const isFenced = async (name: string): Promise<boolean> => {
    const { status } = await cluster.home.plane.client.get(partitions, { name })
    return status?.conditions?.some(({ type, status: is }) => type === 'Fenced' && is === 'True') === true
  }
  const readmit = (name: string): Promise<CliResult> => {
    const home = createAdminHome(join(directory, 'cli'), cluster.home.plane.kubeconfig)
    return runCli(['partition', 'readmit', name], { CENTAURUS_HOME: home.dir })
  }

  /** The others hear that it has started since: by that they know later that an older copy took its place. */
  const backUpHome = async (): Promise<void> => {
    await stores.home.backUp(cluster.home)
    const operators = cluster.within('system', 'home')
    const spec = { nodeName: 'rp1-0', containers: [{ name: 'c', image: 'x' }] }
    await operators.create(pods, { metadata: { name: 'heard', namespace: NAMESPACE }, spec })
    const heard = { namespace: NAMESPACE, name: 'heard' }
    await eventually(
      'nodes to hear of home',
      async () => (await operators.get(pods, heard)).status?.phase === 'Running',
    )
  }

  it('gives no number of a network or an identity that it gave after the backup', async () => {
    await stores.tp1.backUp(cluster.part('tp1'))
    await run('lost')
    const lost = await untilIdentity('lost')
    const lostVni = await makeVpc(acme(), 'lost')
    await eventually('nodes to know the network', async () => (await numberOf(onNodes(), 'lost--acme')) === lostVni)
    await stores.tp1.restore(cluster.part('tp1'))
    await cluster.part('tp1').start()
    assert.equal(await identityOf('lost'), undefined)
    await eventually('it to be fenced', () => isFenced('tp1'))

    await create('early')
    const early = await untilIdentity('early')
    assert.ok(early > lost, `${early} is of "lost"`)
    const given = [lostVni, await makeVpc(acme(), 'early')]
    assert.equal(await untilIdentity('lost', onNodes()), lost, 'nodes do not hear of it yet')

    const { code, stderr } = await readmit('tp1')
    assert.equal(code, 0, stderr)
    await eventually('it to be believed', async () => !(await isFenced('tp1')))
    given.push(await makeVpc(acme(), 'late'))
    assert.equal(new Set(given).size, 3, String(given))
    await untilRunning('early')
    await run('late')
    assert.ok((await untilIdentity('late')) > early)
    await eventually('nodes to know what is new', async () => (await identityOf('late', onNodes())) !== undefined)
    assert.equal(await identityOf('lost', onNodes()), undefined)
    assert.equal(await identityOf('before', onNodes()), await identityOf('before'))
  })

  it('learns from all others before it is believed, also from those that it could not ask before', async () => {
    await stores.tp1.backUp(cluster.part('tp1'))
    await run('lost')
    const lost = await untilIdentity('lost')
    const reserved = (await acme().get(vpcs, { name: 'default' })).status!.nextIdentity!
    await cluster.part('rp1').stop()
    await stores.tp1.restore(cluster.part('tp1'))
    await cluster.part('tp1').start()
    await create('between')
    assert.equal(await untilIdentity('between'), lost, 'nobody tells it')
    const refused = await readmit('tp1')
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /must know which numbers.* Run this again when these answer it: rp1\n$/)
    await cluster.part('rp1').start()
    await eventually('it to be fenced', () => isFenced('tp1'))
    const { code, stderr } = await readmit('tp1')
    assert.equal(code, 0, stderr)
    await untilRunning('between')
    await run('last')
    for (const app of ['between', 'last'])
      for (const client of [acme(), onNodes()]) {
        const id = await untilIdentity(app, client)
        assert.ok(id >= reserved, `${app} has ${id}, and ${reserved} was the next before`)
      }
  })

  it('gives no numbers of networks that others took of home after the backup', async () => {
    await backUpHome()
    await cluster.part('tp1').stop()
    await cluster.part('tp1').start()
    const taken = await makeVpc(acme(), 'after')
    await stores.home.restore(cluster.home)
    await cluster.home.start()
    await eventually('home to be fenced', () => isFenced('home'))
    const { nextVni } = (await cluster.home.plane.client.get(partitions, { name: 'home' })).spec
    assert.ok(nextVni! <= taken, 'home has forgotten it')
    const operators = cluster.within('system', 'home')
    await operators.create(vpcs, { metadata: { name: 'waits' } })
    assert.equal(await numberOf(operators, 'waits'), undefined)

    const { code, stderr } = await readmit('home')
    assert.equal(code, 0, stderr)
    const after = (await cluster.home.plane.client.get(partitions, { name: 'home' })).spec.nextVni!
    assert.ok(after > taken)
    await eventually('the network to have a number', async () => (await numberOf(operators, 'waits')) !== undefined)
    assert.ok((await numberOf(operators, 'waits'))! > taken)
  })
  it('takes numbers away that others have too, when nobody uses them', async () => {
    await backUpHome()
    await cluster.part('tp1').stop()
    await cluster.part('tp1').start()
    const taken = await makeVpc(acme(), 'again')
    for (const name of ['tp1', 'rp1']) await cluster.part(name).stop()
    await stores.home.restore(cluster.home)
    await cluster.home.start()
    const operators = cluster.within('system', 'home')
    assert.equal(await makeVpc(operators, 'twice'), taken, 'nobody tells it')
    const metadata = { name: 'used', namespace: NAMESPACE, annotations: { 'centaurus.io/vpc': 'twice' } }
    const spec = { nodeName: 'rp1-0', containers: [{ name: 'c', image: 'x' }] }
    await operators.create(pods, { metadata, spec })
    for (const name of ['rp1', 'tp1']) await cluster.part(name).start()
    await eventually('home to be fenced', () => isFenced('home'))

    const refused = await readmit('home')
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /have numbers that other networks have.*: system\/twice\. Delete the pods in them/)
    await operators.delete(pods, { namespace: NAMESPACE, name: 'used' }, { gracePeriodSeconds: 0 })
    const { code, stderr } = await readmit('home')
    assert.equal(code, 0, stderr)
    await eventually('another number', async () => ((await numberOf(operators, 'twice')) ?? 0) > taken)
  })
})
