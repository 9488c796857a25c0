import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, type Random } from '@centaurus/base'
import { planKeys, planValues, sizeOf, type RecordField, type RecordLayout } from './record-layout.ts'

type Values = ReadonlyMap<string, bigint>
const WORLDS = 500
const integer = (size: number): RecordLayout => ({ kind: 'integer', size })

/** A record of fields in this order, padded as clang would be told to. */
function record(fields: readonly (readonly [name: string, layout: RecordLayout])[], name = 'flow'): RecordLayout {
  let size = 0
  const placed = fields.map(([field, layout]): RecordField => {
    const offset = size
    size += sizeOf(layout)
    return { name: field, offset, layout }
  })
  return { kind: 'record', name, size, fields: placed }
}

function write(layout: RecordLayout, values: Values): Buffer {
  const bytes = Buffer.alloc(sizeOf(layout))
  assert.ok(layout.kind === 'record')
  for (const { name, offset, layout: of } of layout.fields) {
    const value = values.get(name) ?? 0n
    for (let i = 0; i < sizeOf(of); i++) bytes[offset + i] = Number((value >> BigInt(8 * i)) & 255n)
  }
  return bytes
}

function read(layout: RecordLayout, bytes: Buffer): Values {
  assert.ok(layout.kind === 'record')
  return new Map(
    layout.fields.map(({ name, offset, layout: of }) => {
      let value = 0n
      for (let i = sizeOf(of) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[offset + i]!)
      return [name, value]
    }),
  )
}

/** Some of eight fields, of some sizes, in some order. */
function anyRecord(random: Random): RecordLayout {
  const names = ['seen', 'set', 'epoch', 'device', 'identity', 'flags', 'state', 'port']
  const chosen = names.filter(() => random.integer(4) > 0).sort(() => random.integer(3) - 1)
  return record([...chosen, 'low'].map((name) => [name, integer([1, 2, 4, 8][random.integer(4)]!)]))
}

describe('records of another version', () => {
  it('have every field that both know, zero for new ones, and are none when a value has no room', () => {
    for (let seed = 0; seed < WORLDS; seed++) {
      const random = createSeededRandom(seed)
      const [from, to] = [anyRecord(random), anyRecord(random)]
      assert.ok(from.kind === 'record' && to.kind === 'record')
      const values = new Map(
        from.fields.map(({ name, layout }) => [name, BigInt(random.integer(2 ** Math.min(32, 8 * sizeOf(layout))))]),
      )
      const expected = new Map(to.fields.map(({ name }) => [name, values.get(name) ?? 0n]))
      const hasRoom = to.fields.every(({ name, layout }) => expected.get(name)! < 1n << BigInt(8 * sizeOf(layout)))
      const converted = planValues(from, to)!(write(from, values))
      assert.deepEqual(converted && read(to, converted), hasRoom ? expected : undefined, `seed ${seed}`)
    }
  })

  it('come back as they were from one that has more fields', () => {
    for (let seed = 0; seed < WORLDS; seed++) {
      const random = createSeededRandom(seed)
      const small = anyRecord(random)
      assert.ok(small.kind === 'record')
      const more = [['extra', integer(4)], ...small.fields.map(({ name }) => [name, integer(8)] as const)] as const
      const large = record(more as readonly (readonly [string, RecordLayout])[])
      const bytes = Buffer.from(Array.from({ length: sizeOf(small) }, () => random.integer(256)))
      assert.deepEqual(planValues(large, small)!(planValues(small, large)!(bytes)!), bytes, `seed ${seed}`)
    }
  })

  it('keep keys apart', () => {
    const key = record([
      ['vni', integer(4)],
      ['port', integer(2)],
      ['pad', { kind: 'bytes', size: 2 }],
    ])
    assert.equal(planKeys(key, record([['vni', integer(4)]])), undefined)
    const wider = record([
      ['zone', integer(4)],
      ['port', integer(4)],
      ['vni', integer(4)],
    ])
    assert.deepEqual(
      planKeys(key, wider)!(Buffer.from([1, 0, 0, 0, 2, 3, 9, 9])),
      Buffer.from([0, 0, 0, 0, 2, 3, 0, 0, 1, 0, 0, 0]),
      'padding is not carried over',
    )
  })

  it('are nothing when their meaning is another', () => {
    const before = record([['seen', integer(4)]])
    assert.equal(planValues(before, record([['seen', integer(4)]], 'other')), undefined)
    assert.equal(planValues(before, record([['heard', integer(4)]])), undefined)
    assert.equal(planValues(before, record([['seen', { kind: 'bytes', size: 4 }]])), undefined)
    const address = (size: number): RecordLayout => record([['ip', { kind: 'bytes', size }]])
    assert.equal(planValues(address(4), address(16)), undefined)
  })

  it('have an address of IPv4 in a field that has room for no other, and in one for all', () => {
    const any = record([['words', { kind: 'array', of: { kind: 'bytes', size: 4 }, length: 4 }]], 'address')
    const keyOf = (address: RecordLayout): RecordLayout =>
      record([
        ['low', address],
        ['high', address],
        ['port', integer(2)],
      ])
    const [wide, narrow] = [keyOf(any), keyOf({ kind: 'bytes', size: 4 })]
    const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
    const prefix = '00000000000000000000ffff'
    const [large, small] = [bytes(`${prefix}0a010203${prefix}0a0405060050`), bytes('0a0102030a0405060050')]
    assert.deepEqual(planKeys(wide, narrow)!(large), small)
    assert.deepEqual(planKeys(narrow, wide)!(small), large)
    for (let at = 0; at < 12; at++) {
      const other = Buffer.from(large)
      other[16 + at]! ^= 1
      assert.equal(planKeys(wide, narrow)!(other), undefined, `byte ${at}`)
    }
    assert.equal(planKeys(wide, keyOf({ kind: 'bytes', size: 6 })), undefined)
  })

  it('have arrays that grow, and shrink if what goes is zero', () => {
    const sets = (length: number): RecordLayout => ({ kind: 'array', of: record([['epoch', integer(2)]]), length })
    assert.deepEqual(planValues(sets(1), sets(2))!(Buffer.from([7, 8])), Buffer.from([7, 8, 0, 0]))
    assert.deepEqual(planValues(sets(2), sets(1))!(Buffer.from([7, 8, 0, 0])), Buffer.from([7, 8]))
    assert.equal(planValues(sets(2), sets(1))!(Buffer.from([7, 8, 0, 1])), undefined)
  })
})
