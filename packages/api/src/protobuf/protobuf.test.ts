import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatDuration, parseDuration } from './duration.ts'
import { ProtobufError } from './error.ts'
import {
  decodeProtobuf,
  decodeWatchEvent,
  encodeProtobuf,
  encodeWatchEvent,
  hasProtobuf,
  isProtobuf,
} from './protobuf.ts'
import { formatTimestamp, parseTimestamp } from './timestamp.ts'

const META = { name: 'a', namespace: 'default', creationTimestamp: '2026-11-23T10:00:00Z' }

function encode(object: Record<string, unknown>): Uint8Array {
  return encodeProtobuf(object)
}

function roundTrip(object: object): object {
  return decodeProtobuf(encodeProtobuf(object))
}

/** Seconds of the first year that Date.UTC takes as it is. */
const YEAR_100 = -59_011_459_200

function isProtobufError(error: unknown): boolean {
  return error instanceof ProtobufError
}

/** An envelope around a message that is given in hex. */
function envelope(kind: string, raw: Uint8Array): Uint8Array {
  const empty = encodeProtobuf({ apiVersion: 'v1', kind: 'DeleteOptions' })
  const template = Buffer.from(empty)
  const at = template.indexOf('DeleteOptions')
  assert.ok(at > 0)
  const type = Buffer.concat([
    Buffer.from([0x0a, 2]),
    Buffer.from('v1'),
    Buffer.from([0x12, kind.length]),
    Buffer.from(kind),
  ])
  const length: number[] = []
  let rest = raw.length
  for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80)
  length.push(rest)
  return Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([0x0a, type.length]),
    type,
    Buffer.from([0x12, ...length]),
    raw,
  ])
}

describe('encodeProtobuf and decodeProtobuf', () => {
  it('keep an object, and add what upstream never leaves out of JSON', () => {
    const pod = { kind: 'Pod', apiVersion: 'v1', metadata: META, spec: { containers: [{ name: 'c', image: 'i' }] } }
    assert.deepEqual(roundTrip(pod), {
      ...pod,
      spec: { containers: [{ name: 'c', image: 'i', resources: {} }] },
      status: {},
    })
  })

  it('write null for a list that JSON always has and an empty list for the items of a list', () => {
    const role = roundTrip({ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: META })
    assert.deepEqual(role, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: META, rules: null })
    assert.deepEqual(roundTrip({ apiVersion: 'v1', kind: 'PodList', metadata: { resourceVersion: '7' } }), {
      apiVersion: 'v1',
      kind: 'PodList',
      metadata: { resourceVersion: '7' },
      items: [],
    })
  })

  it('write absent times, quantities and ports as upstream prints their zero values', () => {
    const event = roundTrip({ apiVersion: 'v1', kind: 'Event', metadata: META }) as Record<string, unknown>
    assert.equal(event['eventTime'], null)
    const spec = { ports: [{ port: 80 }] }
    assert.deepEqual(
      (roundTrip({ apiVersion: 'v1', kind: 'Service', metadata: META, spec }) as { spec: object }).spec,
      {
        ports: [{ port: 80, targetPort: 0 }],
      },
    )
  })

  it('keep every key of a map in the order of its UTF-8 bytes, also one that names the prototype', () => {
    const data = JSON.parse('{"\u{10000}":"a","\uffff":"b","__proto__":"c","é":"d","":"e"}') as object
    const result = roundTrip({ apiVersion: 'v1', kind: 'ConfigMap', metadata: META, data }) as { data: object }
    assert.deepEqual(Object.keys(result.data), ['', '__proto__', 'é', '\uffff', '\u{10000}'])
    assert.deepEqual(new Map(Object.entries(result.data)), new Map(Object.entries(data)))
  })

  it('keep numbers of every size and sign', () => {
    for (const seconds of [
      0,
      1,
      -1,
      127,
      128,
      -128,
      2 ** 31 - 1,
      -(2 ** 31),
      2 ** 32,
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
    ]) {
      const options = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: seconds }
      assert.deepEqual(roundTrip(options), options)
    }
  })

  it('read an object that is embedded as protobuf', () => {
    const inner = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'x' }, data: { a: 'b' } }
    const bytes = encodeProtobuf(inner)
    const raw = Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes])
    const list = envelope('List', Buffer.concat([Buffer.from([0x0a, 0, 0x12, raw.length]), raw]))
    assert.deepEqual(decodeProtobuf(list), { kind: 'List', apiVersion: 'v1', metadata: {}, items: [inner] })
  })

  it('take the kind of the request where the bytes do not name one', () => {
    const bytes = Buffer.from('k8s\0\x0a\x04\x0a\x00\x12\x00\x12\x02\x08\x05', 'latin1')
    const defaultKind = { group: 'apps', version: 'v1', kind: 'DeleteOptions' }
    const expected = { apiVersion: 'apps/v1', kind: 'DeleteOptions', gracePeriodSeconds: 5 }
    assert.deepEqual(decodeProtobuf(bytes, { defaultKind }), expected)
    assert.throws(() => decodeProtobuf(bytes), isProtobufError)
  })

  it('refuse kinds without a protobuf form and values of a wrong type', () => {
    assert.throws(() => encodeProtobuf({ apiVersion: 'meta.k8s.io/v1', kind: 'Table' }), isProtobufError)
    assert.throws(() => encodeProtobuf({ apiVersion: 'example.com/v1', kind: 'Widget' }), isProtobufError)
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 5 } }
    assert.throws(
      () => encodeProtobuf(pod),
      /io\.k8s\.apimachinery\.pkg\.apis\.meta\.v1\.ObjectMeta\.name .* must be a string/,
    )
    assert.deepEqual([hasProtobuf('', 'v1', 'Pod'), hasProtobuf('example.com', 'v1', 'Widget')], [true, false])
    assert.equal(hasProtobuf('meta.k8s.io', 'v1', 'PartialObjectMetadata'), true)
  })
})

describe('decodeProtobuf of malformed bytes', () => {
  const pod = encode({ apiVersion: 'v1', kind: 'Pod', metadata: META, spec: { containers: [{ name: 'c' }] } })

  it('fails with a ProtobufError wherever the bytes end', () => {
    for (let end = 0; end < pod.length - 4; end++) {
      try {
        decodeProtobuf(pod.subarray(0, end))
      } catch (error) {
        assert.ok(isProtobufError(error), String(error))
      }
    }
    assert.throws(() => decodeProtobuf(pod.subarray(0, pod.length / 2)), isProtobufError)
    assert.throws(() => decodeProtobuf(new Uint8Array()), isProtobufError)
  })

  it('gives an object or a ProtobufError for any change of bytes', () => {
    const change = fc.record({ at: fc.nat(pod.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(pod)
        for (const { at, byte } of changes) bytes[at] = byte
        try {
          decodeProtobuf(bytes)
        } catch (error) {
          assert.ok(isProtobufError(error), String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('stops at a nesting that no schema needs', () => {
    let openAPIV3Schema: object = {}
    for (let depth = 0; depth < 1500; depth++) openAPIV3Schema = { not: openAPIV3Schema }
    const spec = { versions: [{ name: 'v1', schema: { openAPIV3Schema } }] }
    const bytes = encode({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: META,
      spec,
    })
    assert.throws(() => decodeProtobuf(bytes), /nested more than 1000 deep/)
  })

  it('refuses many empty objects in few bytes', () => {
    const items = Buffer.alloc(200_000)
    for (let i = 0; i < items.length; i += 2) items[i] = 0x12
    assert.throws(() => decodeProtobuf(envelope('PodList', items)), /too many objects for its length/)
  })
})

describe('watch events', () => {
  it('carry one encoded object to any number of watchers', () => {
    const object = encode({ apiVersion: 'v1', kind: 'ConfigMap', metadata: META })
    const event = decodeWatchEvent(encodeWatchEvent('ADDED', object))
    assert.equal(event.type, 'ADDED')
    assert.ok(isProtobuf(event.object))
    assert.deepEqual(decodeProtobuf(event.object), decodeProtobuf(object))
  })

  it('are refused when cut', () => {
    const bytes = encodeWatchEvent('DELETED', encodeProtobuf({ apiVersion: 'v1', kind: 'Status' }))
    assert.throws(() => decodeWatchEvent(bytes.subarray(0, bytes.length - 1)), isProtobufError)
  })
})

describe('times', () => {
  it('are read as Date does, for every day and second', () => {
    fc.assert(
      fc.property(fc.integer({ min: YEAR_100, max: 253_402_300_799 }), (seconds) => {
        const text = `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
        assert.deepEqual(parseTimestamp(text), { seconds, nanos: 0 })
        assert.equal(formatTimestamp({ seconds, nanos: 0 }, 'seconds'), text)
      }),
    )
  })

  it('keep microseconds and know zones', () => {
    const time = parseTimestamp('2026-11-23T10:00:00.123456789+02:00')!
    assert.equal(formatTimestamp(time, 'micro'), '2026-11-23T08:00:00.123456Z')
    assert.equal(parseTimestamp('0001-01-01T00:00:00Z'), undefined)
    assert.throws(() => parseTimestamp('2026-02-30T00:00:00Z'), isProtobufError)
  })
})

describe('durations', () => {
  it('are written as Go writes them', () => {
    const texts = ['0s', '1ns', '1.5µs', '100ms', '1s', '1.5s', '1m0s', '1h0m0s', '36h15m30.918273645s', '-1m30s']
    for (const text of texts) assert.equal(formatDuration(parseDuration(text)), text)
    assert.throws(() => parseDuration('5'), isProtobufError)
  })
})
