import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { AttachMode } from '../testing/cluster.ts'
import { PolicyCluster } from '../testing/policy-cluster.ts'
import { generateWorld } from '../testing/policy-generator.ts'
import type { OracleWorld } from '../testing/policy-oracle.ts'

const WORLDS = 22

if (!isInNamespaces()) {
  describe('generated policies between hosts', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('generated policies between hosts', () => {
    for (const [attach, firstSeed] of [
      ['tcx', 1],
      ['xdp', 1 + WORLDS],
    ] as const)
      describe(attach, () => testWorlds(attach, firstSeed))
  })
}

function testWorlds(attach: AttachMode, firstSeed: number): void {
  let cluster: PolicyCluster
  before(async () => {
    cluster = await PolicyCluster.create(generateWorld(firstSeed).pods, attach)
  })
  after(() => cluster?.close())

  for (let seed = firstSeed; seed < firstSeed + WORLDS; seed++) {
    it(`are enforced as the oracle reads them, seed ${seed}`, () => {
      const generated = generateWorld(seed)
      // pods keep their addresses; labels and named ports are this world's
      const pods = generated.pods.map((pod, index) => ({ ...pod, ip: cluster.pods[index]!.ip }))
      const world: OracleWorld = { ...generated, pods }
      assert.deepEqual(cluster.findWrongCells(world), [])
    })
  }
}
