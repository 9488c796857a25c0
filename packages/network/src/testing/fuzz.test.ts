import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FuzzerName, fuzzProgram, FUZZERS } from './fuzz.ts'

const FRAMES = 200_000

describe('the programs, fuzzed in user space', () => {
  for (const name of Object.keys(FUZZERS) as FuzzerName[]) {
    it(`${name} lets nothing pass that its oracle does not understand`, async () => {
      assert.ok((await fuzzProgram(name, { frames: FRAMES, seed: 1 })) >= FRAMES)
    })
  }
})
