import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { GuestLines, GuestOutput } from './guest-output.ts'
import { endOf } from './guest-scripts.ts'

describe('output of a guest', () => {
  it('ends at its mark, however it is cut', async () => {
    const written = `one\0two\0end of\0${endOf(12)}`
    for (let size = 1; size <= written.length; size++) {
      const output = new GuestOutput()
      const copy = new PassThrough()
      const whole = output.until(endOf(12), copy)
      for (let at = 0; at < written.length; at += size) output.add(Buffer.from(written.slice(at, at + size)))
      assert.equal(await whole, 'one\0two\0end of\0')
      copy.end()
      assert.equal(await text(copy), 'one\0two\0end of\0')
    }
  })

  it('may be empty, and the next job has its own', async () => {
    const output = new GuestOutput()
    const first = output.until(endOf(1))
    output.add(Buffer.from(endOf(1)))
    assert.equal(await first, '')
    const second = output.until(endOf(2))
    output.add(Buffer.from(`x${endOf(2)}`))
    assert.equal(await second, 'x')
  })

  it('comes in lines', async () => {
    const lines = new GuestLines()
    const first = lines.next()
    lines.add(Buffer.from('rea'))
    lines.add(Buffer.from('dy\nup\n'))
    assert.equal(await first, 'ready')
    assert.equal(await lines.next(), 'up')
  })
})
