import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { runChaosRound, type StartPlane } from '@centaurus/simulation/chaos'
import { prepareChaosPlane } from './chaos-plane.ts'

describe('a whole cluster with faults', () => {
  let startPlane: StartPlane
  before(async () => {
    startPlane = await prepareChaosPlane()
  })

  it('loses nothing and becomes what its objects say', async () => {
    const { acknowledged } = await runChaosRound({ seed: 7, startPlane })
    assert.ok(acknowledged > 0)
  })

  it('makes no task of a job twice when an answer is lost (seed 30)', async () => {
    await runChaosRound({ seed: 30, startPlane })
  })

  it('gives pods back their readiness after their node was silent (seed 3)', async () => {
    await runChaosRound({ seed: 3, startPlane })
  })
})
