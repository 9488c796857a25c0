import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { runChurnRound } from '../testing/churn.ts'

const STEPS = 40

if (!isInNamespaces()) {
  describe('pods and policies that come and go', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('pods and policies that come and go under traffic', () => {
    for (const [attach, seed] of [
      ['tcx', 1],
      ['xdp', 2],
    ] as const) {
      it(`let nothing pass or be dropped wrongly, ${attach}, seed ${seed}`, async () => {
        const faults = await runChurnRound({ seed, attach, steps: STEPS })
        assert.deepEqual(faults, [])
      })
    }
  })
}
