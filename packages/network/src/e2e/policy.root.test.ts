import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { AttachMode } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { PolicyCluster } from '../testing/policy-cluster.ts'
import { generateWorld } from '../testing/policy-generator.ts'
import type { OracleWorld } from '../testing/policy-oracle.ts'

const WORLDS = 22

describeHosts({ title: 'generated policies between hosts', file: import.meta.url }, (attach) =>
  testWorlds(attach, attach === 'tcx' ? 1 : 1 + WORLDS),
)

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
