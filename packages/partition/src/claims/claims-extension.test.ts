import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { nodes } from '@centaurus/api/core/v1'
import { partitions } from '@centaurus/api/centaurus/v1'
import { createAccessExtension, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore } from '@centaurus/store'
import { createMembership } from '../membership/membership.ts'
import { createOpenLink, issuePartitionCertificate, type PartitionLink } from '../membership/partition-link.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import type { AllocationLine, NodeUse } from './allocation-stream.ts'
import { ClaimBook } from './claim-book.ts'
import { createClaimsExtension } from './claims-extension.ts'
import type { ClaimsResponse } from './model.ts'

describe('the claims of a resource partition over HTTP', () => {
  const store = createMemoryStore()
  const servers: TestServer[] = []
  const links: PartitionLink[] = []
  const linkOf = new Map<string, PartitionLink>()

  before(async () => {
    const certificates = await openClusterCertificates()
    const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
    for (let i = 0; i < 2; i++) {
      const claims = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
      const extensions = [
        createAccessExtension({ signer }),
        createRegistryExtension(),
        (core: Parameters<ReturnType<typeof createClaimsExtension>>[0]) =>
          createClaimsExtension({ claims, store, membership: createMembership(core.reader, 'rp') })(core),
      ]
      servers.push(await startTestServer({ store, certificates, extensions }))
    }
    const [one, two] = servers as [TestServer, TestServer]
    const spec = { roles: ['Tenant' as const], endpoints: ['https://127.0.0.1:1'] }
    for (const name of ['tp1', 'tp2']) await one.client.create(partitions, { metadata: { name }, spec })
    await two.client.list(partitions) // waits until it knows them
    const node = await one.client.create(nodes, { metadata: { name: 'n1' } })
    const allocatable = { cpu: '2', memory: '1Gi', pods: '110' }
    await one.client.updateStatus(nodes, { ...node, status: { allocatable, capacity: allocatable } })
    await two.client.list(nodes)
    for (const [name, server] of [
      ['tp1', one],
      ['tp2', two],
      ['stranger', one],
    ] as const) {
      const certificate = await issuePartitionCertificate(certificates, name)
      const open = createOpenLink({ ca: certificates.authority.certificatePem, certificate, clock: systemClock })
      const link = open({
        metadata: { name: 'rp' },
        spec: { ...spec, endpoints: [`https://127.0.0.1:${server.port}`] },
      })
      links.push(link)
      linkOf.set(name, link)
    }
  })
  after(async () => {
    for (const link of links) await link.close()
    for (const server of servers) await server.close()
  })

  const claim = (uid: string, cpu: number) => ({
    op: 'claim',
    uid,
    tenant: 'acme',
    namespace: 'default',
    name: uid,
    node: 'n1',
    requests: { cpu },
  })
  const post = async (partition: string, items: unknown[], { epoch = 1, sequence = 1, as = partition } = {}) => {
    const body = { partition, epoch, sequence, items }
    return linkOf.get(as)!.request({ method: 'POST', path: '/partition/v1/claims', body })
  }

  /** Reads an allocation stream and keeps what it says of each node. */
  function follow(partition: string) {
    const stop = new AbortController()
    const known = new Map<string, NodeUse>()
    const waiting = new Set<() => void>()
    let synced = false
    const ended = linkOf.get(partition)!.stream({
      path: `/partition/v1/allocations`,
      signal: stop.signal,
      onLine(bytes) {
        const line = JSON.parse(Buffer.from(bytes).toString('utf8')) as AllocationLine
        if (line.type === 'SYNCED') synced = true
        if (line.type === 'NODES') for (const use of line.nodes) known.set(use.node, use)
        for (const check of waiting) check()
      },
    })
    const until = (condition: () => boolean) =>
      new Promise<void>((resolve, reject) => {
        const check = (): void => void (condition() && resolve())
        waiting.add(check)
        ended.catch(reject)
        check()
      })
    return {
      known,
      until,
      whenSynced: () => until(() => synced),
      async close() {
        stop.abort(new Error('enough'))
        await assert.rejects(ended, /enough/)
      },
    }
  }

  it('are given once, to whoever asks first, at whichever API server', async () => {
    const answers = await Promise.all([post('tp1', [claim('a', 1200)]), post('tp2', [claim('b', 1200)])])
    const results = answers.map(({ status, body }) => {
      assert.equal(status, 200)
      return (body as ClaimsResponse).items[0]!
    })
    assert.deepEqual(results.map(({ result }) => result).toSorted(), ['accepted', 'refused'])
    const refused = results.find(({ result }) => result === 'refused')!
    assert.deepEqual(refused.free, { cpu: 800, memory: 1024 ** 3, pods: 109 })
  })

  it('are told to other partitions as they change, and not to the one that made them', async () => {
    const one = follow('tp1')
    const two = follow('tp2')
    await Promise.all([one.whenSynced(), two.whenSynced()])
    await post('tp1', [claim('c', 300)], { sequence: 5 })
    await two.until(() => (two.known.get('n1')?.requests['cpu'] ?? 0) % 1000 >= 300)
    await post(
      'tp1',
      [
        { op: 'release', uid: 'a' },
        { op: 'release', uid: 'c' },
      ],
      { sequence: 6 },
    )
    await post('tp2', [{ op: 'release', uid: 'b' }], { sequence: 6 })
    await two.until(() => Object.keys(two.known.get('n1')!.requests).length === 0)
    await post('tp2', [{ ...claim('d', 100), ports: [{ ip: '0.0.0.0', protocol: 'TCP', port: 80 }] }], { sequence: 7 })
    await one.until(() => one.known.get('n1')?.ports?.[0]?.port === 80)
    assert.equal(two.known.get('n1')?.requests['cpu'], undefined)
    const late = follow('tp1')
    await late.whenSynced()
    assert.deepEqual(late.known.get('n1')?.requests, { cpu: 100, pods: 1 })
    for (const reader of [one, two, late]) await reader.close()
  })

  it('are for partitions of the cluster, each for itself', async () => {
    assert.equal((await post('tp1', [], { as: 'tp2', sequence: 8 })).status, 403)
    assert.equal((await post('stranger', [])).status, 403)
    const anonymous = await servers[0]!.request('POST', '/partition/v1/claims', { body: {} })
    assert.equal(anonymous.status, 403)
    const broken = await linkOf
      .get('tp1')!
      .request({ method: 'POST', path: '/partition/v1/claims', body: { items: 1 } })
    assert.equal(broken.status, 400)
    const old = await post('tp1', [], { epoch: 0, sequence: 99 })
    assert.equal(old.status, 409)
    assert.match((old.body as { message: string }).message, /newer scheduler/)
  })
})
