import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import type { PodNetwork } from '../cni/pod-network-source.ts'
import { createNodeBlocks, hostAddressOf, type AddressBlocks } from './address-blocks.ts'
import { ADDRESS_REST_MS } from './address-pool.ts'
import { Ipam } from './ipam.ts'

const { signal } = new AbortController()
const SHARED: PodNetwork = { vpc: 'default', vni: 7, routeDomain: 0, blockPrefix: 24, identity: 300 }
const OTHER_TENANT: PodNetwork = { ...SHARED, vni: 8 }
const OWN: PodNetwork = { vpc: 'lab', vni: 9, routeDomain: 9, blockPrefix: 26, identity: 301 }

/** A node with its own block, and as many blocks of the VPC `lab` as were asked for. */
function blocksOfBoth(podCIDR: string): AddressBlocks & { lab: string[] } {
  const node = createNodeBlocks(() => podCIDR)
  const lab: string[] = []
  return {
    lab,
    blocksOf: (network) =>
      network.routeDomain === 0 ? node.blocksOf(network) : lab.map((cidr) => ({ cidr, reserved: [] })),
    async grow(network, abort) {
      if (network.routeDomain === 0) return node.grow(network, abort)
      lab.push(`10.244.3.${lab.length * 4}/30`)
    },
  }
}

describe('Ipam', () => {
  it('gives pods of all tenants that share the node’s block different addresses, and leaves the host its first', async () => {
    const ipam = new Ipam({ blocks: createNodeBlocks(() => '10.244.3.0/24'), clock: createManualClock() })
    assert.equal(hostAddressOf('10.244.3.0/24'), '10.244.3.1')
    assert.deepEqual(await ipam.assign(SHARED, signal), { routeDomain: 0, ip: '10.244.3.2', hostIP: '10.244.3.2' })
    assert.deepEqual(await ipam.assign(OTHER_TENANT, signal), {
      routeDomain: 0,
      ip: '10.244.3.3',
      hostIP: '10.244.3.3',
    })
    assert.equal(ipam.assignedCount, 2)
  })

  it('gives a pod of a VPC with a CIDR an address of it, and one of the host’s own range', async () => {
    const blocks = blocksOfBoth('10.244.3.0/24')
    const ipam = new Ipam({ blocks, clock: createManualClock() })
    assert.deepEqual(await ipam.assign(OWN, signal), { routeDomain: 9, ip: '10.244.3.1', hostIP: '100.64.0.2' })
    assert.deepEqual(await ipam.assign(OWN, signal), { routeDomain: 9, ip: '10.244.3.2', hostIP: '100.64.0.3' })
    assert.deepEqual(await ipam.assign(OWN, signal), { routeDomain: 9, ip: '10.244.3.5', hostIP: '100.64.0.4' })
    assert.deepEqual(blocks.lab, ['10.244.3.0/30', '10.244.3.4/30'])
    assert.equal((await ipam.assign(SHARED, signal)).ip, '10.244.3.2')
  })

  it('says that the block is full, and gives an address again after its rest', async () => {
    const clock = createManualClock()
    const ipam = new Ipam({ blocks: createNodeBlocks(() => '10.244.3.0/29'), clock })
    const all = await Promise.all(Array.from({ length: 5 }, () => ipam.assign(SHARED, signal)))
    await assert.rejects(ipam.assign(SHARED, signal), {
      code: 'noAddress',
      message: /10\.244\.3\.0\/29 are all in use/,
    })
    ipam.release(all[2]!)
    await assert.rejects(ipam.assign(SHARED, signal), { code: 'noAddress' })
    await clock.advance(ADDRESS_REST_MS)
    assert.deepEqual(await ipam.assign(SHARED, signal), all[2])
  })

  it('tells who comes before the node has a block to try again', async () => {
    const ipam = new Ipam({ blocks: createNodeBlocks(() => undefined), clock: createManualClock() })
    await assert.rejects(ipam.assign(SHARED, signal), { code: 'tryAgainLater', message: /no spec\.podCIDR yet/ })
  })

  it('knows after a restart what pods have and what still rests', async () => {
    const clock = createManualClock()
    const ipam = new Ipam({ blocks: blocksOfBoth('10.244.3.0/29'), clock })
    assert.equal(ipam.restore({ routeDomain: 0, ip: '10.244.3.2', hostIP: '10.244.3.2' }), true)
    assert.equal(ipam.restore({ routeDomain: 0, ip: '10.244.3.2', hostIP: '10.244.3.2' }), false)
    assert.equal(ipam.restore({ routeDomain: 9, ip: '10.244.3.2', hostIP: '100.64.0.2' }), true)
    assert.equal(ipam.restore({ routeDomain: 9, ip: '10.244.3.6', hostIP: '100.64.0.2' }), false)
    ipam.restore({ routeDomain: 0, ip: '10.244.3.3', hostIP: '10.244.3.3' })
    ipam.release({ routeDomain: 0, ip: '10.244.3.3', hostIP: '10.244.3.3' }, 5_000)
    const next = await Promise.all([1, 2, 3].map(() => ipam.assign(SHARED, signal)))
    assert.deepEqual(
      next.map(({ ip }) => ip),
      ['10.244.3.4', '10.244.3.5', '10.244.3.6'],
    )
    await clock.advance(5_000)
    assert.equal((await ipam.assign(SHARED, signal)).ip, '10.244.3.3')
    assert.deepEqual(await ipam.assign(OWN, signal), { routeDomain: 9, ip: '10.244.3.1', hostIP: '100.64.0.3' })
  })

  it('says what is no block for a node', () => {
    for (const text of ['10.244.3.1/24', '10.244.3.0/31', 'x']) assert.throws(() => hostAddressOf(text), RangeError)
  })
})
