import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { it } from 'node:test'
import fc from 'fast-check'
import { sha256 } from './sha256.ts'

it('SHA-256 is what the platform says', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      const words = Array.from(sha256(text), (word) => word.toString(16).padStart(8, '0'))
      assert.equal(words.join(''), createHash('sha256').update(text).digest('hex'))
    }),
  )
})
