import assert from 'node:assert/strict'
import { it } from 'node:test'
import { runChurnRound } from '../testing/churn.ts'
import { describeHosts } from '../testing/describe-hosts.ts'

const STEPS = 40

describeHosts({ title: 'pods and policies that come and go under traffic', file: import.meta.url }, (attach) => {
  it('let nothing pass or be dropped wrongly', async () => {
    const faults = await runChurnRound({ seed: attach === 'tcx' ? 1 : 2, attach, steps: STEPS })
    assert.deepEqual(faults, [])
  })
})
