import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeRange, encodeTxn } from './messages.ts'
import { GRPC_PREFIX_BYTES, ProtoReader, ProtoWriter } from './protobuf.ts'

describe('protobuf', () => {
  it('writes the bytes of the encoding guide', () => {
    // Source: protobuf.dev/programming-guides/encoding: Test1 { a: 150 }, Test2 { b: "testing" }, Test3 { c: Test1 }.
    assert.equal(
      hex((writer) => writer.uint(1, 150)),
      '089601',
    )
    assert.equal(
      hex((writer) => writer.text(2, 'testing')),
      '120774657374696e67',
    )
    const nested = hex((writer) => {
      const mark = writer.written
      writer.uint(1, 150)
      writer.message(3, mark)
    })
    assert.equal(nested, '1a03089601')
  })

  it('reads what it wrote, whatever it is', () => {
    const field = fc.record({
      field: fc.integer({ min: 1, max: 1_000 }),
      value: fc.oneof(
        fc.nat(2 ** 31),
        fc.maxSafeNat(),
        fc.string({ unit: 'binary' }),
        fc.uint8Array({ maxLength: 300 }),
      ),
    })
    const property = fc.property(fc.array(field, { maxLength: 20 }), (fields) => {
      const writer = new ProtoWriter()
      for (const { field: number, value } of fields.toReversed()) {
        if (typeof value === 'number') writer.presentUint(number, value)
        else if (typeof value === 'string') writer.text(number, value)
        else writer.bytes(number, value)
      }
      const frame = writer.frame()
      assert.equal(frame.readUInt32BE(1), frame.length - GRPC_PREFIX_BYTES)
      const reader = new ProtoReader(frame.subarray(GRPC_PREFIX_BYTES))
      for (const { field: number, value } of fields) {
        assert.equal(reader.next(), number)
        if (typeof value === 'number') assert.equal(reader.uint(), value)
        else if (typeof value === 'string') assert.equal(reader.text(), value)
        else assert.deepEqual(new Uint8Array(reader.bytes()), value)
      }
      assert.equal(reader.next(), 0)
    })
    fc.assert(property, { numRuns: 40 })
  })

  it('skips fields that it does not know', () => {
    const message = Buffer.from('4a02ffff5100000000000000ff5d000000ff2001', 'hex') // fields 9, 10, 11, then 4
    assert.equal(decodeRange(message, 0).count, 1)
  })

  it('refuses what is cut off or is no message', () => {
    const whole = encodeTxn({
      compare: [{ key: 'a', modRevision: 300 }],
      success: [{ type: 'put', key: 'a', value: Buffer.alloc(20) }],
      failure: [],
    }).subarray(GRPC_PREFIX_BYTES)
    for (let bytes = 1; bytes < whole.length; bytes++) {
      const reader = new ProtoReader(whole.subarray(0, bytes))
      const readAll = (): number => {
        let fields = 0
        while (reader.next() !== 0) {
          reader.skip()
          fields++
        }
        return fields
      }
      try {
        assert(readAll() < 2, `${bytes} bytes are not the whole message`)
      } catch (error) {
        assert(error instanceof SyntaxError)
      }
    }
    assert.throws(() => decodeRange(Buffer.from('0fff', 'hex'), 0), SyntaxError)
    assert.throws(() => decodeRange(Buffer.from('80'.repeat(11), 'hex'), 0), SyntaxError)
  })
})

/** The message's bytes, without gRPC's prefix. */
function hex(write: (writer: ProtoWriter) => void): string {
  const writer = new ProtoWriter()
  write(writer)
  return writer.frame().subarray(GRPC_PREFIX_BYTES).toString('hex')
}
