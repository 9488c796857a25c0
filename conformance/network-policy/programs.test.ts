import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { askOracle, describeCell, openTestDataplane, ProgramWorld } from '@centaurus/network/testing'
import { isInNamespaces, runInNamespaces } from '@centaurus/node/testing'
import { addressOf } from './addresses.ts'
import { POLICY_CASES } from './cases.ts'
import { act, createWorld, listCells, PROBES } from './policy-case.ts'

/** Block of the pods that are on the other node. */
const REMOTE_BLOCK = 2
/** Networks of their own, so that no flow of one step is known in the next. */
const FIRST_VNI = 5000

if (!isInNamespaces()) {
  describe('NetworkPolicy in the programs', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('NetworkPolicy in the programs', () => {
    it('lets pass what the oracle allows, in every cell of every case, on one node and between two', async (t) => {
      const dataplane = await openTestDataplane()
      let vni = FIRST_VNI
      let cells = 0
      for (const { title, steps } of POLICY_CASES) {
        let world = createWorld(addressOf)
        for (const { actions } of steps) {
          world = actions.reduce(act, world)
          const programs = new ProgramWorld(dataplane, world, { vni: vni++, remoteBlock: REMOTE_BLOCK })
          for (const [number, cell] of PROBES.flatMap((probe) => listCells(world, probe)).entries()) {
            for (const path of programs.pathsOf(cell)) {
              const said = programs.run(path, cell, number)
              const isLast =
                path !== 'from_pod' || !('pod' in cell.destination) || programs.isLocal(cell.destination.pod)
              const { allowed, egress } = askOracle(world, cell)
              const passes = said.reason === 'None'
              // The sender's host drops no more than egress denies; the receiver's has the last word.
              const isRight = isLast ? passes === allowed : passes || egress?.allowed === false
              if (!isRight)
                assert.fail(`${title}, ${path}: ${said.reason}, oracle ${allowed}\n${describeCell(world, cell)}`)
              cells++
            }
          }
          programs.close()
        }
      }
      dataplane.close()
      t.diagnostic(`${cells} cells`)
      assert.ok(cells > 100_000, `${cells} cells`)
    })
  })
}
