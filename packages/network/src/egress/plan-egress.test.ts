import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Subnet, Vpc, VpcEgressAddress } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import { describeEgress } from './describe-egress.ts'
import { planEgress, withEgress, type EgressPlan } from './plan-egress.ts'

function node(name: string, address: string, ready?: string): Node {
  const conditions = ready === undefined ? [] : [{ type: 'Ready', status: ready }]
  return { metadata: { name }, status: { addresses: [{ type: 'InternalIP', address }], conditions } }
}

function vpc(vni: number | undefined, egressAddresses: VpcEgressAddress[], cidr?: string): Vpc {
  return {
    metadata: { name: `lab--t${vni}`, annotations: { 'centaurus.io/tenant': `t${vni}` } },
    spec: { egressAddresses, ...(cidr === undefined ? {} : { cidr }) },
    status: vni === undefined ? {} : { vni },
  }
}

/** A block of network `lab` of the tenant. */
function subnet(vni: number, node: string, index: number): Subnet {
  const metadata = { name: `lab-${index}--t${vni}`, annotations: { 'centaurus.io/tenant': `t${vni}` } }
  return { metadata, spec: { vpc: `lab--t${vni}`, cidr: `10.20.0.${64 * index}/26`, node } }
}

const on = (name: string, address = '198.51.100.7'): VpcEgressAddress => ({ address, node: name })
const NODES = [node('n1', '192.0.2.1', 'True'), node('n2', '192.0.2.2', 'True'), node('n3', '192.0.2.3', 'Unknown')]

const plan = (vpcs: Vpc[], { nodes = NODES, has = [] as string[], subnets = [] as Subnet[] } = {}): EgressPlan =>
  planEgress({ nodeName: 'n1', nodeIP: '10.0.0.1', nodes, vpcs, subnets, hostAddresses: new Set(has) })

describe('how networks reach the world by addresses of their own', () => {
  it('is the first address whose node is Ready', () => {
    const { egresses } = plan([
      vpc(5, [on('n2')]),
      vpc(6, [on('n3', '198.51.100.8'), on('n2')]),
      vpc(7, [on('n2'), on('n1', '198.51.100.9')]),
      vpc(8, []),
      vpc(undefined, [on('n2')]),
    ])
    assert.deepEqual(
      [...egresses.values()].map(({ vni, node }) => [vni, node]),
      [
        [5, '192.0.2.2'],
        [6, '192.0.2.2'],
        [7, '192.0.2.2'],
      ],
    )
  })

  it('is none while no node is there and Ready, and not another address', () => {
    const { egresses } = plan([vpc(5, [on('n3'), on('gone', '198.51.100.8')])])
    assert.deepEqual([...egresses.values()], [{ vni: 5, node: undefined, isHere: false }])
  })

  it('counts a node as Ready of which it is not known', () => {
    const { egresses } = plan([vpc(5, [on('far')])], { nodes: [node('far', '192.0.2.9')] })
    assert.equal(egresses.get(5)?.node, '192.0.2.9')
  })

  it('is here as long as a device of this host has the address, whoever is first', () => {
    const vpcs = [vpc(5, [on('n1')]), vpc(6, [on('n2'), on('n1', '198.51.100.8')]), vpc(7, [on('n2')])]
    const { egresses, sources, missing } = plan(vpcs, { has: ['198.51.100.7', '198.51.100.8'] })
    assert.deepEqual(
      [...egresses.values()],
      [
        { vni: 5, node: '10.0.0.1', isHere: true },
        { vni: 6, node: '192.0.2.2', isHere: true },
        { vni: 7, node: '192.0.2.2', isHere: false },
      ],
    )
    assert.deepEqual(
      [...sources],
      [
        [5, '198.51.100.7'],
        [6, '198.51.100.8'],
      ],
    )
    assert.deepEqual(missing, [])
  })

  it('is nowhere when this host is to have the address and has not, which its Node says', () => {
    const { egresses, sources, missing } = plan([vpc(5, [on('n1')])], { has: ['198.51.100.8'] })
    assert.deepEqual([...egresses.values()], [{ vni: 5, node: '10.0.0.1', isHere: false }])
    assert.equal(sources.size, 0)
    assert.deepEqual(missing, [{ tenant: 't5', vpc: 'lab', address: '198.51.100.7' }])
    const words = describeEgress(undefined, missing)!
    assert.deepEqual([words.type, words.status, words.reason], ['EgressAddressesReady', 'False', 'AddressMissing'])
    assert.match(words.message!, /198\.51\.100\.7 \(Vpc "lab" of tenant t5\)/)
    assert.equal(describeEgress(undefined, undefined), undefined)
    const before = { status: { conditions: [{ type: 'EgressAddressesReady', status: 'False' }] } }
    assert.equal(describeEgress(before, undefined)?.status, 'True')
  })

  it('needs the blocks of other hosts of networks with a CIDR of their own, where the address is', () => {
    const vpcs = [vpc(5, [on('n1')], '10.20.0.0/16'), vpc(6, [on('n1')]), vpc(7, [on('n2')], '10.20.0.0/16')]
    const subnets = [5, 7].flatMap((vni) => ['n1', 'n2', 'n3'].map((name, index) => subnet(vni, name, index)))
    const { blocks, egresses } = plan(vpcs, { subnets, has: ['198.51.100.7'] })
    assert.deepEqual([...egresses.keys()], [5, 6, 7])
    assert.deepEqual(blocks, [
      { vni: 5, cidr: '10.20.0.64/26' },
      { vni: 5, cidr: '10.20.0.128/26' },
    ])
    assert.deepEqual(plan(vpcs, { subnets }).blocks, [])
  })

  it('is known of each pod, and stays while nobody knows its network', () => {
    const pod = {
      vni: 5,
      ip: '10.244.1.2',
      hostIP: '10.244.1.2',
      mac: '0a:ce:0a:f4:01:02',
      ifindex: 12,
      identity: 300,
      routeDomain: 0,
      blockPrefix: 24,
      shaper: 8,
    }
    const flagged = withEgress(pod, vpc(5, [on('n2')]))
    assert.equal(flagged.hasEgress, true)
    assert.equal(withEgress(flagged, undefined).hasEgress, true)
    assert.deepEqual(withEgress(flagged, vpc(5, [])), pod)
  })
})
