import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Partition, PartitionSpec, PodBlock } from '@centaurus/api/centaurus/v1'
import { doIpv4BlocksOverlap, parseIpv4Block } from '@centaurus/base'
import { planBlock } from './plan-block.ts'

const NOW = '2026-01-01T00:00:00Z'
const LATER = '2026-01-01T01:00:00Z'

function partition(name: string, spec: Partial<PartitionSpec> = {}): Stored<Partition> {
  const metadata = { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: NOW }
  return { metadata, spec: { roles: ['Resource'], endpoints: [], ...spec } }
}

/** Takes blocks one after the other, as partitions of a registry do; undefined ends it. */
function takeAll(partitions: Stored<Partition>[], takers: readonly string[]): (string | undefined)[] {
  return takers.map((self) => {
    const plan = planBlock({ self, now: NOW, partitions })
    if (plan === undefined) return undefined
    partitions.find(({ spec }) => spec.home === true)!.spec.podBlocks = [...plan.podBlocks]
    partitions.find(({ metadata }) => metadata.name === self)!.spec.podCIDRs = [...plan.podCIDRs]
    return plan.podCIDRs.at(-1)
  })
}

describe('planBlock', () => {
  it('gives 10.244.0.0/16 first, then those after it, then those before it', () => {
    const partitions = [partition('home', { home: true }), partition('rp1')]
    const takers = ['home', 'rp1', ...Array.from({ length: 11 }, () => 'rp1')]
    const given = takeAll(partitions, takers)
    assert.deepEqual(given.slice(0, 2), ['10.244.0.0/16', '10.245.0.0/16'])
    assert.deepEqual(given.slice(11), ['10.255.0.0/16', '10.243.0.0/16'])
  })

  it('gives enough for 60,000 nodes, none of it twice and none of it where Services are', () => {
    const partitions = [
      partition('home', { home: true, serviceCIDR: '10.96.0.0/16' }),
      partition('rp1', { serviceCIDR: '10.200.0.0/16' }),
    ]
    const given = takeAll(
      partitions,
      Array.from({ length: 300 }, (_, index) => (index % 2 === 0 ? 'home' : 'rp1')),
    )
    const blocks = given.filter((cidr) => cidr !== undefined).map((cidr) => parseIpv4Block(cidr)!)
    assert.equal(blocks.length, 239)
    assert.ok(blocks.length * 256 >= 60_000)
    const services = ['10.96.0.0/12', '10.200.0.0/16'].map((cidr) => parseIpv4Block(cidr)!)
    for (const [index, block] of blocks.entries())
      for (const other of [...blocks.slice(index + 1), ...services]) assert.ok(!doIpv4BlocksOverlap(block, other))
    assert.equal(given.at(-1), undefined)
  })

  it('tells a partition first what it has already', () => {
    const podBlocks: PodBlock[] = [{ cidr: '10.245.0.0/16', partition: 'rp1', uid: 'uid-rp1' }]
    const partitions = [partition('home', { home: true, podBlocks }), partition('rp1')]
    assert.deepEqual(planBlock({ self: 'rp1', now: NOW, partitions }), { podBlocks, podCIDRs: ['10.245.0.0/16'] })
  })

  it('respects what was written by hand', () => {
    const partitions = [partition('home', { home: true }), partition('rp1', { podCIDRs: ['10.244.128.0/17'] })]
    assert.deepEqual(takeAll(partitions, ['home']), ['10.245.0.0/16'])
  })

  it('lets the block of a partition that was removed, or added again, rest for an hour', () => {
    for (const uid of ['uid-gone', 'uid-before']) {
      const gone: PodBlock = { cidr: '10.244.0.0/16', partition: uid === 'uid-gone' ? 'gone' : 'rp1', uid }
      const partitions = [partition('home', { home: true, podBlocks: [gone] }), partition('rp1')]
      assert.deepEqual(takeAll(partitions, ['rp1']), ['10.245.0.0/16'])
      assert.equal(partitions[0]!.spec.podBlocks![0]!.releasedAt, NOW)
      const plan = planBlock({ self: 'home', now: LATER, partitions })
      assert.deepEqual(plan?.podCIDRs, ['10.244.0.0/16'])
      assert.deepEqual(
        plan?.podBlocks.map(({ partition: name }) => name),
        ['rp1', 'home'],
      )
    }
  })

  it('goes by the plan of home’s partition', () => {
    const podNetwork = {
      cidr: '192.168.0.0/16',
      first: '192.168.64.0/18',
      except: ['192.168.128.0/18'],
      blockPrefix: 18,
    }
    const partitions = [partition('home', { home: true, podNetwork })]
    assert.deepEqual(takeAll(partitions, ['home', 'home', 'home', 'home']), [
      '192.168.64.0/18',
      '192.168.192.0/18',
      '192.168.0.0/18',
      undefined,
    ])
    partitions[0]!.spec = { ...partitions[0]!.spec, podNetwork: { ...podNetwork, cidr: '172.16.0.0/17' } }
    assert.deepEqual(takeAll(partitions, ['home', 'home', 'home']), ['172.16.0.0/18', '172.16.64.0/18', undefined])
  })

  it('waits for a registry that knows the partition', () => {
    assert.throws(
      () => planBlock({ self: 'rp1', now: NOW, partitions: [partition('home', { home: true })] }),
      /does not know/,
    )
  })
})
