import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { PolicyCluster } from '@centaurus/network/testing'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { UPSTREAM_CASES } from './cases.ts'
import { act, createWorld } from './policy-case.ts'

if (!isInNamespaces()) {
  describe('NetworkPolicy between two hosts', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  for (const attach of ['tcx', 'xdp'] as const)
    describe(`NetworkPolicy between two hosts, ${attach}`, () => testCases(attach))
}

/** Each pod to each other one, by real sockets, after every step. */
function testCases(attach: 'tcx' | 'xdp'): void {
  let cluster: PolicyCluster
  before(async () => {
    cluster = await PolicyCluster.create(createWorld(() => '').pods, attach)
  })
  after(() => cluster?.close())

  for (const { title, steps } of UPSTREAM_CASES) {
    it(title, () => {
      const addresses = new Map(cluster.pods.map(({ namespace, name, ip }) => [`${namespace}/${name}`, ip]))
      let world = createWorld((pod) => addresses.get(pod)!)
      for (const [number, { actions }] of steps.entries()) {
        world = actions.reduce(act, world)
        assert.deepEqual(cluster.findWrongCells(world), [], `after step ${number + 1}`)
      }
    })
  }
}
