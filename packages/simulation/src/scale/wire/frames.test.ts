import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeHeaders, readStatus } from './frames.ts'

describe('the frames of the load generator', () => {
  it('read the status from every form that a compressor may choose', () => {
    assert.equal(readStatus(Buffer.from([0x88])), 200)
    assert.equal(readStatus(Buffer.from([0x8d])), 404)
    // literal without indexing, name from the static table, plain digits
    assert.equal(readStatus(Buffer.from([0x08, 0x03, 0x34, 0x32, 0x32])), 422)
    // the dynamic table's new size first, as the server says after our settings
    assert.equal(readStatus(Buffer.from([0x20, 0x88])), 200)
    assert.equal(readStatus(Buffer.from([0x3f, 0xe1, 0x1f, 0x88])), 200)
    // Huffman: RFC 7541 appendix C.6.1 has 302 as 6402
    assert.equal(readStatus(Buffer.from([0x48, 0x82, 0x64, 0x02])), 302)
    assert.equal(readStatus(Buffer.from([0x00, 0x01, 0x61, 0x01, 0x62])), undefined)
  })

  it('write header blocks that the static table shortens', () => {
    const block = encodeHeaders([
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/api'],
      ['x-long', 'v'.repeat(300)],
    ])
    assert.deepEqual([...block.subarray(0, 2)], [0x82, 0x87])
    assert.equal(block.subarray(2, 8).toString('latin1'), '\u0004\u0004/api')
    // 300 = 127 + 173, in seven-bit groups
    assert.deepEqual([...block.subarray(8 + 2 + 6, 8 + 2 + 6 + 3)], [0x7f, 0xad, 0x01])
  })
})
