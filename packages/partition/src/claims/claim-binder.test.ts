import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { objectKey, RESOURCE_PARTITION_ANNOTATION, type Stored } from '@centaurus/api'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { createAccessExtension, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { acquireEpoch } from '../epoch/acquire-epoch.ts'
import { PeerStates } from '../epoch/peer-states.ts'
import { createOpenLink, issuePartitionCertificate, type OpenLink } from '../membership/partition-link.ts'
import { ClaimAuditor } from './claim-auditor.ts'
import { createClaimBinder, type BindingItem, type ClaimBinder } from './claim-binder.ts'
import { ClaimBook } from './claim-book.ts'
import { createClaimsExtension } from './claims-extension.ts'
import { createForeignUse, type NodeUseChange } from './foreign-use.ts'
import { checkStoredClaims, readStoredClaims } from './testing/check-claims.ts'

const ALLOCATABLE = { cpu: '4', memory: '8Gi', pods: '5' }
const AMOUNTS = { cpu: 4000, memory: 8 * 1024 ** 3, pods: 5 }
const NODES = ['n1', 'n2', 'n3', 'n4']

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('binding through claims', () => {
  const rpStore = createMemoryStore()
  const claims = new ClaimBook({ store: rpStore, clock: systemClock, logger: silentLogger })
  let storeState = { storeId: 'rp-store', revision: 5 }
  let rp: TestServer
  const tps = new Map<string, TestServer>()
  const links = new Map<string, OpenLink>()

  const partition = (name: string): Stored<Partition> => ({
    metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '' },
    spec: { roles: name === 'rp' ? ['Resource'] : ['Tenant'], endpoints: [`https://127.0.0.1:${rp.port}`] },
  })
  const membershipOf = (self: string) => ({
    self,
    get: partition,
    list: () => [partition('rp')],
    hosts: (tenant: string) => tenant !== 'moved',
    tenants: () => [],
    onChange: () => () => {},
  })

  before(async () => {
    const certificates = await openClusterCertificates()
    const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
    const extension = createClaimsExtension({
      claims,
      membership: membershipOf('rp'),
      store: rpStore,
      storeState: async () => storeState,
    })
    const extensions = [createAccessExtension({ signer }), extension]
    rp = await startTestServer({ store: rpStore, certificates, extensions })
    for (const name of NODES) {
      const node = await rp.client.create(nodes, { metadata: { name } })
      await rp.client.updateStatus(nodes, { ...node, status: { allocatable: ALLOCATABLE, capacity: ALLOCATABLE } })
    }
    const ca = certificates.authority.certificatePem
    for (const name of ['tp1', 'tp2']) {
      tps.set(name, await startTestServer({ certificates }))
      const certificate = await issuePartitionCertificate(certificates, name)
      links.set(name, createOpenLink({ ca, certificate, clock: systemClock }))
    }
  })
  after(async () => {
    for (const server of [...tps.values(), rp]) await server.close()
  })

  const openBinder = async (self: string): Promise<ClaimBinder & { deposed: () => boolean }> => {
    const server = tps.get(self)!
    const { epoch } = await acquireEpoch(server.store)
    let deposed = false
    const binder = createClaimBinder({
      membership: membershipOf(self),
      openLink: links.get(self)!,
      client: server.client,
      epoch,
      partitionOf: (node) => (NODES.includes(node) ? 'rp' : undefined),
      clock: systemClock,
      logger: silentLogger,
      onDeposed: () => (deposed = true),
    })
    return {
      bind: (items) => binder.bind(items),
      claim: (items) => binder.claim(items),
      preempt: (wanted, leaving) => binder.preempt(wanted, leaving),
      withdraw: (node, uid) => binder.withdraw(node, uid),
      isUnderWay: (uid) => binder.isUnderWay(uid),
      release: (partition, items) => binder.release(partition, items),
      close: () => binder.close(),
      deposed: () => deposed,
    }
  }
  const createPod = (self: string, name: string): Promise<Stored<Pod>> =>
    tps.get(self)!.client.create(pods, {
      metadata: { name, namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    })
  const item = (pod: Stored<Pod>, nodeName: string, cpu = 1000): BindingItem => ({
    pod,
    nodeName,
    requests: { cpu, pods: 1 },
    ports: [],
  })

  it('never overcommits a node that two partitions want', async () => {
    const random = createSeededRandom(7)
    const bound = await Promise.all(
      ['tp1', 'tp2'].map(async (self) => {
        const binder = await openBinder(self)
        const made = await Promise.all(Array.from({ length: 40 }, (_, i) => createPod(self, `pod-${i}`)))
        const results = await Promise.all(
          [0, 10, 20, 30].map((at) =>
            binder.bind(made.slice(at, at + 10).map((pod) => item(pod, NODES[random.integer(NODES.length)]!))),
          ),
        )
        const outcomes = results.flat()
        assert.ok(outcomes.every(({ type }) => type !== 'failed'))
        const names = made.flatMap((pod, i) => (outcomes[i]!.type === 'bound' ? [pod] : []))
        for (const pod of names) {
          const now = await tps.get(self)!.client.get(pods, { namespace: 'default', name: pod.metadata.name })
          assert.ok(now.spec?.nodeName)
          assert.equal(now.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION], 'rp')
        }
        await binder.close()
        return names.map(({ metadata }) => metadata.uid)
      }),
    )
    const stored = await checkStoredClaims(rpStore, AMOUNTS)
    assert.deepEqual(stored.map(({ uid }) => uid).toSorted(), bound.flat().toSorted())
    assert.equal(stored.length, 16, 'all four nodes are full of cpu')
    for (const { uid, partition: owner } of stored) await claims.release(owner, [{ op: 'release', uid }])
  })

  it('gives back the room of a pod that could not be bound', async () => {
    const binder = await openBinder('tp1')
    const pod = await createPod('tp1', 'gone')
    await tps.get('tp1')!.client.delete(pods, { namespace: 'default', name: 'gone' })
    const [result] = await binder.bind([item(pod, 'n1')])
    assert.equal(result!.type, 'failed')
    await until(() => claims.ledger.claimCount === 0)
    const [unknown] = await binder.bind([item(pod, 'nowhere')])
    assert.equal(unknown!.type, 'refused')
    await binder.close()
  })

  it('binds a gang when enough of it have room, and gives all of it back when not', async () => {
    const binder = await openBinder('tp1')
    await claims.whenCurrent()
    const before = (await readStoredClaims(rpStore)).length
    const bindGang = async (prefix: string, needed: number, nodeNames: readonly string[]) => {
      const gang = { key: prefix, needed }
      const made = await Promise.all(nodeNames.map((_, i) => createPod('tp1', `${prefix}-${i}`)))
      const results = await binder.bind(made.map((pod, i) => ({ ...item(pod, nodeNames[i]!, 1), gang })))
      return { results: results.map(({ type }) => type), made }
    }
    const short = await bindGang('short', 3, ['n1', 'n2', 'nowhere'])
    assert.deepEqual(short.results, ['gangRefused', 'gangRefused', 'refused'])
    await until(async () => (await readStoredClaims(rpStore)).length === before)
    for (const { metadata } of short.made) {
      const pod = await tps.get('tp1')!.client.get(pods, { namespace: 'default', name: metadata.name })
      assert.equal(pod.spec?.nodeName ?? '', '')
    }
    const enough = await bindGang('enough', 2, ['n1', 'nowhere', 'n2'])
    assert.deepEqual(enough.results, ['bound', 'refused', 'bound'])
    await binder.close()
    for (const { metadata } of enough.made) await claims.release('tp1', [{ op: 'release', uid: metadata.uid }])
  })

  it('takes over the room that an earlier scheduler left behind, and stops that one', async () => {
    const old = await openBinder('tp1')
    const pod = await createPod('tp1', 'left')
    const [claimed] = await old.claim([item(pod, 'n1')])
    assert.equal(claimed!.type, 'answered')
    const next = await openBinder('tp1')
    assert.deepEqual(await next.bind([item(pod, 'n2')]), [{ type: 'bound' }])
    assert.deepEqual(
      (await readStoredClaims(rpStore)).map(({ node }) => node),
      ['n2'],
    )
    const other = await createPod('tp1', 'late')
    const [late] = await old.bind([item(other, 'n3')])
    assert.equal(late!.type, 'failed')
    assert.ok(old.deposed())
    assert.equal(next.deposed(), false)
    await Promise.all([old.close(), next.close()])
  })

  it('gives back room that no pod uses, and nothing else', async () => {
    for (const { uid, partition: owner } of await readStoredClaims(rpStore)) {
      await claims.release(owner, [{ op: 'release', uid }])
    }
    const { client, store } = tps.get('tp2')!
    const { epoch } = await acquireEpoch(store)
    const deps = { openLink: links.get('tp2')!, client, epoch, clock: systemClock, logger: silentLogger }
    const binder = createClaimBinder({
      ...deps,
      membership: membershipOf('tp2'),
      partitionOf: () => 'rp',
      onDeposed: () => assert.fail('nobody else leads'),
    })
    const elsewhere = {
      op: 'claim' as const,
      uid: 'e',
      tenant: 'moved',
      namespace: 'x',
      name: 'e',
      node: 'n4',
      requests: {},
    }
    await claims.submit({ partition: 'tp2', epoch, sequence: 0, items: [elsewhere] })
    const informers = createInformerFactory(client)
    const made = await Promise.all(['kept', 'unused', 'vanished'].map((name) => createPod('tp2', name)))
    const [kept, unused, vanished] = made as [Stored<Pod>, Stored<Pod>, Stored<Pod>]
    const auditor = new ClaimAuditor({
      ...deps,
      membership: membershipOf('tp2'),
      binder,
      pods: informers.informer(pods),
    })
    await informers.whenSynced()
    assert.deepEqual(await binder.bind([item(kept, 'n1')]), [{ type: 'bound' }])
    await binder.claim([item(unused, 'n2'), item(vanished, 'n3')])
    await client.delete(pods, { namespace: 'default', name: 'vanished' })
    await until(() => informers.informer(pods).get(objectKey(vanished)) === undefined)
    assert.equal(claims.ledger.claimCount, 4)
    await auditor.audit()
    await until(() => claims.ledger.claimCount === 2)
    assert.equal(claims.ledger.nodeOf('e'), 'n4', 'its tenant has moved: it is not for us to judge')
    await claims.release('tp2', [{ op: 'release', uid: 'e' }])
    assert.equal(claims.ledger.nodeOf(kept.metadata.uid), 'n1')
    await auditor.close()
    await Promise.all([binder.close(), informers.close()])
    await claims.release('tp2', [{ op: 'release', uid: kept.metadata.uid }])
    const last = await createPod('tp1', 'last')
    const one = await openBinder('tp1')
    assert.deepEqual(await one.bind([item(last, 'n2')]), [{ type: 'bound' }])
    await one.close()
  })

  it('tells each partition what the others use, and believes no store that went back', async () => {
    const peerStore = createMemoryStore()
    const peers = new PeerStates({ store: peerStore, clock: systemClock, logger: silentLogger })
    await peers.start()
    const follow = () => {
      const known = new Map<string, NodeUseChange>()
      const use = createForeignUse({
        membership: membershipOf('tp2'),
        openLink: links.get('tp2')!,
        peers,
        clock: systemClock,
        random: createSeededRandom(1),
        logger: silentLogger,
      })
      use.subscribe((changes) => {
        for (const change of changes) known.set(change.nodeName, change)
      })
      return { known, close: () => use.close() }
    }
    const one = follow()
    await until(() => one.known.get('n2')?.requests['cpu'] === 1000)
    const { uid } = (await readStoredClaims(rpStore))[0]!
    await claims.release('tp1', [{ op: 'release', uid }])
    await until(() => one.known.get('n2')?.requests['cpu'] === undefined)
    await one.close()
    assert.equal(peers.whyFenced('rp'), undefined)
    storeState = { ...storeState, revision: 4 }
    const two = follow()
    await until(() => peers.whyFenced('rp') !== undefined)
    assert.equal(two.known.size, 0)
    await two.close()
    await peers.close()
  })
})
