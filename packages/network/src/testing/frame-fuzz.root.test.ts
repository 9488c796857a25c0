import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isInNamespaces, runInNamespaces } from '@centaurus/node/testing'
import { fuzzFrames } from './frame-fuzz.ts'

const FRAMES = 30_000

if (!isInNamespaces()) {
  describe('mutated frames in the kernel', () => {
    it('pass in namespaces of their own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('mutated frames in the kernel', () => {
    it('pass where they may and nowhere else', async () => {
      const passed = await fuzzFrames({ seed: 1, frames: FRAMES })
      assert.ok(passed > FRAMES / 100 && passed < FRAMES, `${passed} of ${FRAMES} passed`)
    })
  })
}
