import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Node } from '@centaurus/api/core/v1'
import { describeEgress } from './describe-egress.ts'
import { describeAddresses, whyNoEgress, type EgressNetwork } from './egress-state.ts'

function node(name: string, conditions: Record<string, string>, message?: string): Node {
  const list = Object.entries(conditions).map(([type, status]) => ({
    type,
    status,
    ...(message === undefined ? {} : { message }),
  }))
  return { metadata: { name }, status: { conditions: list } }
}

const network: EgressNetwork = {
  tenant: 'acme',
  vpc: 'lab',
  addresses: [
    { address: '198.51.100.7', node: 'n1' },
    { address: '198.51.100.8', node: 'n2' },
    { address: '198.51.100.9', node: 'n3' },
  ],
}
const words = (nodes: Node[]) => describeAddresses(network, nodes).map((each) => `${each.isUsed} ${each.words}`)

describe('what is said of addresses towards the world', () => {
  it('is which one pods leave by, and why not by those before it', () => {
    const nodes = [node('n1', { Ready: 'Unknown' }), node('n2', { Ready: 'True' }), node('n3', { Ready: 'True' })]
    assert.deepEqual(words(nodes), [
      'false node n1 is not Ready',
      'true in use, on n2',
      'false for when the nodes before n3 are away',
    ])
    assert.equal(whyNoEgress(network, nodes), undefined)
    assert.equal(whyNoEgress({ ...network, addresses: [] }, nodes), undefined)
  })

  it('is why nothing leaves', () => {
    const missing = [
      { tenant: 'acme', vpc: 'other', address: '198.51.100.8' },
      { tenant: 'acme', vpc: 'lab', address: '1198.51.100.8' },
    ]
    const says = (of: typeof missing) => {
      const { status, message } = describeEgress(undefined, of)!
      return node('n2', { Ready: 'True', EgressAddressesReady: status }, message)
    }
    assert.equal(words([says(missing)])[1], 'true in use, on n2')
    const without = says([...missing, { tenant: 'acme', vpc: 'lab', address: '198.51.100.8' }])
    assert.equal(
      whyNoEgress(network, [without, node('n3', {})]),
      'Nothing leaves network lab for the world, since none of its addresses can be used: 198.51.100.7: there is no node n1; ' +
        '198.51.100.8: on no device of n2 that is up; 198.51.100.9: for when the nodes before n3 are away',
    )
  })
})
