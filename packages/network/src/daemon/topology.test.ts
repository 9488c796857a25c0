import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Subnet, Vpc } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import { planTopology, podNetworksOf } from './topology.ts'

function node(name: string, address: string | undefined, podCIDR: string | undefined): Node {
  return {
    metadata: { name },
    spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR, 'fd00::/64'] },
    status: { addresses: address === undefined ? [] : [{ type: 'InternalIP', address }] },
  }
}

const plan = (nodes: Node[], { vpcs = [], subnets = [] }: { vpcs?: Vpc[]; subnets?: Subnet[] } = {}) =>
  planTopology({ nodeName: 'n1', nodes, vpcs, subnets })

describe('what a host knows of the others', () => {
  it('is a route to the pods of each, and that their identities are believed', () => {
    const { routes, believed } = plan([
      node('n1', '192.0.2.1', '10.244.0.0/24'),
      node('n2', '192.0.2.2', '10.244.1.0/24'),
      node('n3', '192.0.2.3', undefined),
      node('n4', undefined, '10.244.3.0/24'),
    ])
    assert.deepEqual([...routes], [['0/10.244.1.0/24', { domain: 0, cidr: '10.244.1.0/24', node: '192.0.2.2' }]])
    assert.deepEqual([...believed], ['192.0.2.2', '192.0.2.3'])
  })

  it('is in which blocks pods are, also of nodes that have one from elsewhere', () => {
    const nodes = [node('n2', '192.0.2.2', '10.244.1.0/24'), node('n3', '192.0.2.3', '10.245.7.0/24')]
    assert.deepEqual(podNetworksOf(nodes, ['10.244.0.0/16']), ['10.244.0.0/16', '10.245.7.0/24'])
  })

  it('is a route to each block of a network with addresses of its own, apart from those of others', () => {
    const named = (tenant: string, vni: number): Vpc => ({
      metadata: { name: `lab--${tenant}`, annotations: { 'centaurus.io/tenant': tenant } },
      spec: { cidr: '10.20.0.0/16' },
      status: { vni },
    })
    const block = (tenant: string, vpc: string, on: string): Subnet => ({
      metadata: { name: `s--${tenant}`, annotations: { 'centaurus.io/tenant': tenant } },
      spec: { vpc, cidr: '10.20.0.64/26', node: on },
    })
    const { routes, networks } = plan(
      [node('n1', '192.0.2.1', undefined), node('n2', '192.0.2.2', undefined), node('n3', '192.0.2.3', undefined)],
      {
        vpcs: [named('acme', 4097), named('beta', 4098)],
        subnets: [
          block('acme', 'lab--acme', 'n2'),
          block('beta', 'lab--beta', 'n3'),
          block('beta', 'gone--beta', 'n2'),
          block('acme', 'lab--acme', 'n1'),
        ],
      },
    )
    assert.deepEqual(
      [...routes].map(([key, route]) => [key, route.node]),
      [
        ['4097/10.20.0.64/26', '192.0.2.2'],
        ['4098/10.20.0.64/26', '192.0.2.3'],
      ],
    )
    assert.deepEqual(
      [...networks],
      [
        [4097, '10.20.0.0/16'],
        [4098, '10.20.0.0/16'],
      ],
    )
  })
})
