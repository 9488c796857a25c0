import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import type { NamedDrop } from '@centaurus/network'
import { formatDrop, nameEnds } from './network-drops.ts'
import { PodFinder } from './pod-finder.ts'

const AT = '2026-01-01T00:01:00.000Z'
const AT_MS = Date.parse(AT)

function podAt(
  name: string,
  changes: { made?: string; phase?: string; vpc?: string; hostNetwork?: boolean } = {},
): Pod {
  const { made = '2026-01-01T00:00:00Z', phase = 'Running', vpc, hostNetwork } = changes
  return {
    metadata: {
      namespace: 'shop',
      name,
      creationTimestamp: made,
      ...(vpc === undefined ? {} : { annotations: { 'centaurus.io/vpc': vpc } }),
    },
    spec: { containers: [], hostNetwork },
    status: { phase },
  }
}

const DROP: NamedDrop = {
  at: AT,
  reason: 'PolicyIngress',
  direction: 'ingress',
  tenant: 'acme',
  network: 'default',
  via: { address: '192.168.77.2', name: 'edge' },
  protocol: 'TCP',
  source: { address: '10.244.2.9', port: 40_000, name: undefined, group: 'a pod of shop with app=web' },
  destination: { address: '10.244.1.2', port: 80, name: 'shop/db', group: undefined },
  rule: undefined,
  why: undefined,
}

function finderOf(list: (tenant: string, address: string) => Promise<Pod[]>, nowMs: () => number = () => AT_MS) {
  const failures: unknown[] = []
  return { failures, finder: new PodFinder({ list, clock: { now: nowMs }, onFailure: (each) => failures.push(each) }) }
}

const question = { tenant: 'acme', network: 'default', address: '10.244.2.9', at: AT }

describe('a dropped packet, printed', () => {
  it('names pods of other hosts, and the host that it came from', async () => {
    const { finder } = finderOf(async (tenant, address) => {
      assert.deepEqual([tenant, address], ['acme', '10.244.2.9'])
      return [podAt('web-1')]
    })
    assert.equal(
      formatDrop(await nameEnds(DROP, finder)),
      `${AT}  PolicyIngress    ingress TCP shop/web-1 (10.244.2.9:40000) -> shop/db (10.244.1.2:80) from node edge (tenant acme)`,
    )
  })

  it('says what the identity says when nobody has the address', async () => {
    const { finder } = finderOf(async () => [])
    assert.match(formatDrop(await nameEnds(DROP, finder)), /TCP a pod of shop with app=web \(10\.244\.2\.9:40000\) ->/)
  })

  it('says which machine is no node', async () => {
    const source = { address: '192.168.77.66', port: 50_000, name: undefined, group: undefined }
    const drop = { ...DROP, tenant: undefined, network: undefined, reason: 'UnknownNode', source }
    const via = { address: source.address, name: undefined }
    const { finder } = finderOf(() => assert.fail('there is no tenant to ask'))
    assert.match(formatDrop(await nameEnds({ ...drop, via }, finder)), /UnknownNode .* TCP 192\.168\.77\.66:50000 -> /)
  })
})

describe('the pod that had an address', () => {
  it('is one of the network, which was there and had not ended', async () => {
    for (const other of [
      podAt('later', { made: '2026-01-01T00:01:01Z' }),
      podAt('done', { phase: 'Succeeded' }),
      podAt('failed', { phase: 'Failed' }),
      podAt('elsewhere', { vpc: 'lab' }),
      podAt('host', { hostNetwork: true }),
    ]) {
      assert.equal(await finderOf(async () => [other]).finder.find(question), undefined, other.metadata.name)
      assert.equal(await finderOf(async () => [other, podAt('web-1')]).finder.find(question), 'shop/web-1')
    }
    assert.equal(await finderOf(async () => [podAt('a'), podAt('b')]).finder.find(question), undefined)
  })

  it('is asked for once, and again when the packet is much newer than the answer', async () => {
    let asked = 0
    let nowMs = AT_MS
    const { finder } = finderOf(
      async () => [podAt(`web-${++asked}`)],
      () => nowMs,
    )
    for (const at of [AT, '2026-01-01T00:00:10.000Z', '2026-01-01T00:01:05.000Z'])
      assert.equal(await finder.find({ ...question, at }), 'shop/web-1')
    nowMs += 6_000
    assert.equal(await finder.find({ ...question, at: '2026-01-01T00:01:05.001Z' }), 'shop/web-2')
  })

  it('is asked for twenty times a second', async () => {
    let asked = 0
    let nowMs = AT_MS
    const { finder } = finderOf(
      async () => [podAt(`web-${++asked}`)],
      () => nowMs,
    )
    const find = (last: number): Promise<string | undefined> =>
      finder.find({ ...question, address: `10.244.2.${last}` })
    for (let last = 0; last < 30; last++) await find(last)
    assert.equal(asked, 20)
    nowMs += 1_000
    assert.equal(await find(29), 'shop/web-21')
  })

  it('is asked for no more when the cluster does not answer, which is said once', async () => {
    let asked = 0
    const { finder, failures } = finderOf(async () => {
      asked++
      throw new Error('refused')
    })
    assert.equal(await finder.find(question), undefined)
    assert.equal(await finder.find({ ...question, address: '10.244.2.10' }), undefined)
    assert.deepEqual([asked, failures.length], [1, 1])
  })
})
