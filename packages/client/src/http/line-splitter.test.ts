import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeText, encodeText } from '@centaurus/base'
import { array, assert as assertProperty, integer, property, stringMatching } from 'fast-check'
import { createLineSplitter } from './line-splitter.ts'

describe('line splitter', () => {
  it('finds the same lines however the bytes are cut', () => {
    assertProperty(
      property(
        array(stringMatching(/^[a-zä€]{0,8}$/)),
        array(integer({ min: 1, max: 9 }), { minLength: 1 }),
        (lines, cuts) => {
          const bytes = encodeText(lines.map((line) => `${line}\n`).join(''))
          const got: string[] = []
          const split = createLineSplitter((line) => got.push(decodeText(line)))
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + cuts[i % cuts.length]!
            split(bytes.subarray(at, end))
            at = end
          }
          assert.deepEqual(
            got,
            lines.filter((line) => line !== ''),
          )
        },
      ),
    )
  })

  it('refuses a line without end', () => {
    const split = createLineSplitter(() => {}, { lineBytesMax: 4 })
    assert.throws(() => split(encodeText('12345')), RangeError)
  })
})
