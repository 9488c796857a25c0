import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { createKubeconfig } from '@centaurus/apiserver'
import { startCluster } from './cluster.ts'
import { registerDaemon } from './daemons.ts'
import { describeFailure } from './failure.ts'
import { createHome, findHome, type Home } from './home.ts'
import { DEFAULT_SETTINGS, writeSettings } from './settings.ts'
import { runCli, runCommands, type Ran, type ToRun } from './testing/run-cli.ts'
import { UserError } from './user-error.ts'

/** All that ask the API. */
const ASKING = `
network explain a b 80
network explain a b 80 --tenant acme
node kubeconfig n1
node kube-proxy-kubeconfig
node bootstrap-kubeconfig
partition list
partition list --json
partition add tp1 --roles tenant
partition add-server tp1 --port 7000
partition drain tp1
partition readmit tp1
partition remove tp1
tenant create acme
tenant list
tenant delete acme
tenant move acme --to tp1
tenant kubeconfig acme`

/** The others, but for those that would start or stop something. */
const OTHERS = `
status
status --json
logs
image list
image import /nosuch.tar
network status
network drops
gpu status
store migrate --to etcd --endpoints https://127.0.0.1:9
gateway --remove
down
reset`

/** Flags that can't be meant, whatever there is. */
const WRONG = `
nosuch
up --port x
up --nodes x
up --network x
up --simulated-gpus /nosuch
up --store x
up --store etcd
up --join /nosuch
up --tenant-webhook-networks x
up --kubelet-dir x
logs nosuch
logs -n x
image import
network explain a b
network explain a b 99999
network explain a b 80 --protocol x
network drops -o yaml
gpu status -o yaml
gpu node
gpu node --kubeconfig /nosuch
node kubeconfig N_1
node bootstrap-kubeconfig --ttl x
node network
node network --kubeconfig /nosuch --proxy-kubeconfig /nosuch
partition add
partition add TP1
partition add tp1 --roles x
partition add tp1 --port 0
partition add tp1 --service-cidr x
partition add tp1 --service-cidr 10.97.0.1/16
partition add tp1 --store etcd
partition add-server tp1
tenant create Acme
tenant create acme --quota x
tenant move acme
tenant move acme --to tp1 --timeout x
store migrate --to x
store migrate --to etcd
gateway --port x
simulate --nosuch`

const at = ({ dir }: Home, table: string): ToRun[] =>
  table
    .trim()
    .split('\n')
    .map((line) => ({ home: dir, args: line.split(' ') }))

/** Where home answers, and the partitions tp1 and rp1 do not. */
const OF_PARTITIONS = `
node bootstrap-kubeconfig --partition rp1
node bootstrap-kubeconfig --partition nosuch
node kubeconfig n1 --partition rp1
partition list
partition add rp1 --roles tenant
partition add home
partition add tp2 --service-cidr 10.96.0.0/24
partition add-server nosuch --port 7000
partition drain rp1
partition drain nosuch
partition readmit home
partition remove rp1
partition remove home
tenant move acme --to nosuch
tenant move acme --to tp1 --timeout 1
tenant kubeconfig nosuch
tenant delete nosuch`

/** One sentence, and what to do next. */
function assertForPeople({ args, out, failure }: Ran): void {
  const what = args.join(' ')
  for (const text of [out, failure ?? '']) assert.doesNotMatch(text, /^\s+at |node:internal|\bundefined\b/m, what)
  if (failure === undefined) return
  assert.doesNotMatch(failure, /fault of Centaurus/, what)
  assert.match(
    failure,
    /\.\/centaurus|must (?:not|be)|such as|like|[Nn]ame |CENTAURUS_HOME|There is no|There are|Run this again when/,
    `${what}: ${failure}`,
  )
}

describe('a command that can’t do what it is told', () => {
  const root = mkdtempSync(join(tmpdir(), 'centaurus-failures-'))
  const homeNamed = (name: string): Home => findHome({ CENTAURUS_HOME: join(root, name) })
  const ranBy = new Map<string, Ran[]>()
  let dead: string

  const setUp = (name: string, { server = dead, runs = true } = {}): Home => {
    const home = homeNamed(name)
    createHome(home)
    writeSettings(home, DEFAULT_SETTINGS)
    writeFileSync(home.kubeconfig, createKubeconfig({ server, ca: '', token: 'secret' }), { mode: 0o600 })
    if (runs) registerDaemon(home, 'control-plane')
    return home
  }
  /** What commands said in a home. */
  const ranIn = (name: string): Ran[] => ranBy.get(homeNamed(name).dir) ?? []
  const failureOf = (name: string, command: string): string =>
    ranIn(name).find(({ args }) => args.join(' ') === command)?.failure ?? ''

  before(async () => {
    dead = `https://127.0.0.1:${await findClosedPort()}`
    writeFileSync(join(root, 'file'), '')
    createHome(homeNamed('other'))
    writeFileSync(join(root, 'other', 'precious'), '')
    rmSync(setUp('young').kubeconfig)
    writeFileSync(setUp('damaged').kubeconfig, '{')
    writeFileSync(setUp('unset').settings, '{')
    const all = await runCommands([
      ...at(setUp('wrong'), WRONG),
      ...at(homeNamed('nosuch'), `${ASKING}${OTHERS}`),
      ...at(setUp('down', { runs: false }), ASKING),
      ...at(setUp('unreached'), ASKING),
      ...at(homeNamed('young'), ASKING),
      ...at(homeNamed('damaged'), ASKING),
      ...at(homeNamed('unset'), `${ASKING}${OTHERS}`),
      ...at(homeNamed('file'), `${ASKING}${OTHERS}`),
      ...at(homeNamed('other'), 'reset --yes'),
    ])
    for (const ran of all) ranBy.set(ran.home, [...(ranBy.get(ran.home) ?? []), ran])
  })
  after(() => rmSync(root, { recursive: true, force: true }))

  it('says what its flags must be', () => {
    for (const ran of ranIn('wrong')) {
      assert.notEqual(ran.failure, undefined, ran.args.join(' '))
      assertForPeople(ran)
    }
  })

  it('says that there is no cluster', () => {
    const { dir } = homeNamed('nosuch')
    for (const ran of ranIn('nosuch')) assertForPeople(ran)
    for (const { args } of at(homeNamed('nosuch'), ASKING))
      assert.equal(
        failureOf('nosuch', args.join(' ')),
        `There is no cluster that runs in ${dir}. Start one with ./centaurus up`,
      )
    assert.equal(failureOf('nosuch', 'network status'), `There is no cluster in ${dir}. Start one with ./centaurus up`)
  })

  it('says that nothing of the cluster runs', () => {
    for (const { failure = '' } of ranIn('down')) assert.match(failure, /^There is no cluster that runs/)
  })

  it('says that the API server can’t be reached', () => {
    for (const { args, failure = '' } of ranIn('unreached'))
      assert.match(failure, /^Cannot reach the .*: is it up\? \.\/centaurus status tells$/, args.join(' '))
  })

  it('says which file of the cluster is missing or damaged', () => {
    for (const ran of [...ranIn('young'), ...ranIn('damaged'), ...ranIn('unset')]) assertForPeople(ran)
    assert.match(failureOf('damaged', 'tenant list'), /^Cannot read .*kubeconfig: [^\n]*centaurus up$/)
    assert.match(failureOf('young', 'tenant list'), /has no kubeconfig yet/)
    assert.match(failureOf('unset', 'status'), /^Cannot read .*settings\.json/)
  })

  it('says that its home is no folder, or none of a cluster', () => {
    for (const { args, failure = '' } of ranIn('file'))
      assert.match(failure, /it is no folder\. Name another/, args.join(' '))
    assert.match(failureOf('other', 'reset --yes'), /there is no cluster, but something else/)
    assert.equal(findHome({ CENTAURUS_HOME: '' }).dir, findHome({}).dir)
  })

  it('says that the cluster is another user’s', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
    const { dir } = setUp('foreign')
    chmodSync(root, 0o755)
    const { code, stderr } = await runCli(['partition', 'list'], { CENTAURUS_HOME: dir }, { uid: 65_534 })
    assert.equal(code, 1)
    assert.match(stderr, /^centaurus: The cluster in .* belongs to another user[^\n]*\n$/)
  })

  it('says that a partition can’t be reached', async () => {
    const cluster = await startCluster()
    const home = setUp('partitions')
    writeFileSync(home.kubeconfig, cluster.kubeconfig)
    try {
      for (const [name, role] of [
        ['tp1', 'Tenant'],
        ['rp1', 'Resource'],
      ] as const)
        await cluster.client.create(partitions, { metadata: { name }, spec: { roles: [role], endpoints: [dead] } })
      await cluster.client.create(tenants, { metadata: { name: 'acme' }, spec: { partition: 'home' } })
      const all = await runCommands(at(home, OF_PARTITIONS))
      for (const ran of all) assertForPeople(ran)
      const readmit = all.find(({ args }) => args[1] === 'readmit')
      assert.match(readmit?.failure ?? '', /Run this again when these answer it: rp1, tp1$/)
    } finally {
      await cluster.close()
    }
  })
})

describe('what a failure says', () => {
  it('has a stack for who looks for the fault, and the sentence last', () => {
    const fault = new Error('no such thing')
    const text = describeFailure(fault, { debug: true })
    assert.match(text, /^Error: no such thing\n\s+at /)
    assert.match(text, /\ncentaurus: no such thing\. If that is no help[^\n]*$/)
    assert.equal(describeFailure(new UserError('do that'), { debug: true }), 'do that')
  })

  it('tells what files the system does not give', () => {
    const error = Object.assign(new Error('x'), { code: 'EACCES', path: '/root/x' })
    assert.match(describeFailure(error, { debug: false }), /^Cannot use \/root\/x: this user may not/)
  })
})

/** Where nobody listens. */
async function findClosedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
