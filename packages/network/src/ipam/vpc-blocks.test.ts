import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import type { Stored } from '@centaurus/api'
import type { Subnet, Vpc } from '@centaurus/api/centaurus/v1'
import { createNodeBlocks } from './address-blocks.ts'
import { Ipam } from './ipam.ts'
import { createVpcBlocks } from './vpc-blocks.ts'

const SHARED = { vpc: 'default', vni: 4096, routeDomain: 0, blockPrefix: 24, identity: 256 }
const BLUE = { vpc: 'blue', vni: 4097, routeDomain: 4097, blockPrefix: 26, identity: 256 }

function stored<T extends object>(name: string, rest: T) {
  return { metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '' }, ...rest }
}

function subnet(cidr: string, { node = 'n1', vpc = 'blue--acme', released = false } = {}): Stored<Subnet> {
  return stored(`${vpc} ${cidr}`, { spec: { vpc, cidr, node, ...(released ? { released } : {}) } })
}

function openNode() {
  const vpcs: Stored<Vpc>[] = [
    stored('default--acme', { status: { vni: 4096 } }),
    stored('blue--acme', { spec: { cidr: '10.0.0.0/24' }, status: { vni: 4097 } }),
    stored('blue--beta', { spec: { cidr: '10.0.0.0/24' }, status: { vni: 4098 } }),
  ]
  let subnets: Stored<Subnet>[] = []
  const waiting = new Set<() => void>()
  const blocks = createVpcBlocks({
    nodeName: 'n1',
    shared: createNodeBlocks(() => '10.244.3.0/24'),
    vpcs: () => vpcs,
    subnets: () => subnets,
    whenChanged(signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      waiting.add(resolve)
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      return promise
    },
  })
  const clock = createManualClock()
  return {
    blocks,
    clock,
    ipam: new Ipam({ blocks, clock }),
    set(...next: Stored<Subnet>[]) {
      subnets = next
      for (const wake of waiting) wake()
    },
  }
}

describe("a node's blocks of a network with addresses of its own", () => {
  const never = new AbortController().signal

  it('are its Subnets, and of no other node or network', () => {
    const node = openNode()
    node.set(
      subnet('10.0.0.0/26'),
      subnet('10.0.0.64/26', { node: 'n2' }),
      subnet('10.0.0.0/26', { vpc: 'blue--beta' }),
      subnet('10.0.0.128/26', { released: true }),
    )
    assert.deepEqual(node.blocks.blocksOf(BLUE), [{ cidr: '10.0.0.0/26', reserved: [] }])
    assert.deepEqual(node.blocks.blocksOf(SHARED), [{ cidr: '10.244.3.0/24', reserved: ['10.244.3.1'] }])
  })

  it('are waited for by the first pod', async () => {
    const node = openNode()
    const assigned = node.ipam.assign(BLUE, never)
    node.set()
    node.set(subnet('10.0.0.64/26'))
    assert.deepEqual(await assigned, { routeDomain: 4097, ip: '10.0.0.65', hostIP: '100.64.0.2' })
  })

  it('are waited for only so long', async () => {
    const node = openNode()
    const abort = new AbortController()
    const assigned = node.ipam.assign(BLUE, abort.signal)
    abort.abort(new Error('too late'))
    await assert.rejects(
      assigned,
      /Node n1 has no block of VPC "blue"'s own addresses, and has not got another one yet/,
    )
  })

  it('give no address any more once they are released', async () => {
    const node = openNode()
    node.set(subnet('10.0.0.0/26'))
    const first = await node.ipam.assign(BLUE, never)
    assert.equal(first.ip, '10.0.0.1')
    node.ipam.release(first)
    await node.clock.advance(60_000)
    node.set(subnet('10.0.0.0/26', { released: true }), subnet('10.0.0.64/26'))
    assert.equal((await node.ipam.assign(BLUE, never)).ip, '10.0.0.65')
    node.set(subnet('10.0.0.0/26'))
    assert.equal((await node.ipam.assign(BLUE, never)).ip, '10.0.0.2', 'it may be used again')
  })
})
