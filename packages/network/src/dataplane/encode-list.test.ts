import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CLOSED, everywhere, OPEN, onlyPorts } from '../testing/test-world.ts'
import type { VerdictList } from '../policy/policy-set.ts'
import { encodeJump, encodeList, listText } from './encode-list.ts'

/** Alternates between allowed and denied TCP ports. */
function stripes(count: number): VerdictList {
  return onlyPorts(
    'TCP',
    Array.from({ length: count }, (_, i) => i * 2 + 1),
  )
}

describe('A list of verdicts in the kernel', () => {
  it('is nothing when everything is allowed by no rule', () => {
    assert.deepEqual(encodeList(OPEN), { kind: 'open' })
  })

  it('is one segment when all protocols and ports are alike', () => {
    assert.deepEqual(encodeList(CLOSED), {
      kind: 'list',
      segments: [{ start: 0, rule: 1, precedence: 65_535, verdict: 0 }],
    })
    assert.equal(encodeList(everywhere(true, { rule: 4 })).kind, 'list', 'a rule that allows is counted')
  })

  it('begins a segment where something changes', () => {
    const list = encodeList(onlyPorts('UDP', [53]))
    assert.deepEqual(list.kind === 'list' && list.segments.map(({ start, verdict }) => [start, verdict]), [
      [0, 0],
      [65_536 + 53, 1],
      [65_536 + 54, 0],
    ])
  })

  it('becomes several lists behind one when it is long', () => {
    const list = encodeList(stripes(100))
    assert.ok(list.kind === 'tree')
    assert.deepEqual(
      list.parts.map((part) => part.length),
      [64, 64, 64, 9],
    )
    assert.deepEqual(encodeJump(list.parts[1]!, 7), {
      start: list.parts[1]![0]!.start,
      rule: 7,
      precedence: 0,
      verdict: 2,
    })
  })

  it('is refused when it is longer than two lists deep', () => {
    assert.equal(encodeList(stripes(2000)).kind, 'tree')
    assert.throws(() => encodeList(stripes(2100)), /into more than 4096 ranges: these make 4201/)
  })

  it('is refused when it is not whole or not sorted', () => {
    assert.throws(() => encodeList([]), /must begin with TCP port 0/)
    assert.throws(() => encodeList(OPEN.slice(1)), /must begin with TCP port 0/)
    assert.throws(() => encodeList([OPEN[0]!, OPEN[0]!, ...OPEN.slice(1)]), /must be sorted/)
  })

  it('has a text that tells equal lists', () => {
    const text = (list: VerdictList): string => {
      const encoded = encodeList(list)
      return encoded.kind === 'list' ? listText(encoded.segments) : encoded.kind
    }
    assert.equal(text(onlyPorts('TCP', [80])), text(onlyPorts('TCP', [80])))
    assert.notEqual(text(onlyPorts('TCP', [80])), text(onlyPorts('TCP', [80], { rule: 3 })))
  })
})
