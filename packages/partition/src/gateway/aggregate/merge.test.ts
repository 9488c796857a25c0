import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expired, isStatus } from '@centaurus/api'
import fc from 'fast-check'
import { chooseFormat } from './accept.ts'
import { formatVersion, parseVersion } from './composite-version.ts'
import { atVersions, pageQuery, planList } from './list-plan.ts'
import { ListSplitter, type ListEnvelope } from './list-splitter.ts'
import { mergeMetrics } from './merge-metrics.ts'
import { decodePage, encodePage } from './page-token.ts'
import { jsonWatchCodec, protobufWatchCodec, type WatchCodec, type WatchFrame } from './watch-codec.ts'
import { WatchPositions } from './watch-positions.ts'

const partition = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/)
const revision = fc.bigInt({ min: 0n, max: 2n ** 53n }).map(String)
const versions = fc
  .dictionary(partition, revision, { minKeys: 1, maxKeys: 5 })
  .map((record) => new Map(Object.entries(record)))

function splitList(
  text: string,
  cuts: readonly number[],
): { items: string[]; envelope: ListEnvelope; isTable: boolean } {
  const items: string[] = []
  const splitter = new ListSplitter((item) => items.push(Buffer.from(item).toString('utf8')))
  const bytes = Buffer.from(text)
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b)
  let start = 0
  for (const end of [...ends, bytes.length]) {
    splitter.feed(bytes.subarray(start, end))
    start = end
  }
  return { items, envelope: splitter.end(), isTable: splitter.isTable }
}

describe('a list that is taken apart', () => {
  const value = fc.jsonValue({ maxDepth: 4 })
  const item = fc.dictionary(fc.oneof(fc.constantFrom('items', 'rows', 'a"\\b'), fc.string()), value, { maxKeys: 4 })

  it('gives each item as it is, however the bytes come, and the rest', () => {
    const spaces = fc.constantFrom(undefined, 1, 2, '\t')
    const shape = fc.constantFrom('items', 'rows')
    const cuts = fc.array(fc.nat(5000), { maxLength: 12 })
    const list = fc.record({
      items: fc.array(item, { maxLength: 6 }),
      extra: value,
      key: shape,
      itemsFirst: fc.boolean(),
      space: spaces,
    })
    fc.assert(
      fc.property(list, cuts, ({ items, extra, key, itemsFirst, space }, cuts) => {
        const rest = { kind: 'X"[{', metadata: { resourceVersion: '1', items: [1], x: extra }, extra }
        const list = itemsFirst ? { [key]: items, ...rest } : { ...rest, [key]: items }
        const split = splitList(JSON.stringify(list, undefined, space), cuts)
        assert.deepEqual(
          split.items.map((text) => JSON.parse(text) as unknown),
          JSON.parse(JSON.stringify(items)),
        )
        assert.deepEqual(split.envelope, JSON.parse(JSON.stringify({ ...rest, [key]: [] })))
        assert.equal(split.isTable, key === 'rows')
      }),
    )
  })

  it('takes a list without items, and refuses half a list', () => {
    assert.deepEqual(splitList('{"kind":"NodeList","items":null}', []).items, [])
    assert.throws(() => splitList('{"items":[{"a":1},{"b"', []), SyntaxError)
    assert.throws(() => splitList('not found', []), SyntaxError)
  })
})

describe('positions in several partitions', () => {
  it('survive being written and read, and need no escape in a URL', () => {
    fc.assert(
      fc.property(versions, (version) => {
        const text = formatVersion(version)
        assert.equal(encodeURIComponent(text), text)
        assert.deepEqual(new Map([...parseVersion(text)!].toSorted()), new Map([...version].toSorted()))
      }),
    )
  })

  it('are told from a partition’s own', () => {
    for (const text of ['', '0', '123', 'abc', 'rp0_', '_1', 'rp0_1~', 'rp0_1~rp0_2', 'rp0_x', 'A_1'])
      assert.equal(parseVersion(text), undefined, text)
  })

  it('give each partition its own part, and one that has joined everything', () => {
    const query = new URLSearchParams('labelSelector=a&resourceVersion=rp0_1~rp1_2&resourceVersionMatch=NotOlderThan')
    const calls = atVersions(query, ['rp0', 'rp1', 'rp2'])
    assert.deepEqual(
      calls.map(({ query }) => query.get('resourceVersion')),
      ['1', '2', null],
    )
    assert.equal(calls[2]!.query.get('resourceVersionMatch'), null)
    assert.deepEqual(
      calls.map(({ query }) => query.get('labelSelector')),
      ['a', 'a', 'a'],
    )
  })

  it('are too old when a partition has left, or when they are those of one object', () => {
    for (const version of ['rp0_1~gone_2', '123']) {
      const query = new URLSearchParams({ resourceVersion: version })
      assert.throws(
        () => atVersions(query, ['rp0', 'rp1']),
        (error) => isStatus(error, 'Expired'),
        version,
      )
    }
    for (const version of ['', '0', 'abc']) {
      const query = new URLSearchParams({ resourceVersion: version })
      assert.deepEqual(
        atVersions(query, ['rp0', 'rp1']).map((call) => call.query.get('resourceVersion')),
        [version, version],
      )
    }
  })
})

describe('a page of a merged list', () => {
  it('says where the next one begins', () => {
    fc.assert(
      fc.property(versions, partition, fc.string(), (versions, partition, token) => {
        assert.deepEqual(decodePage(encodePage({ versions, partition, token })), { versions, partition, token })
      }),
    )
  })

  it('begins in the first partition while the others tell their moment', () => {
    const plan = planList(new URLSearchParams('limit=50'), ['rp0', 'rp1'])
    assert.equal(plan.type, 'first')
    assert.deepEqual(plan.type === 'first' && plan.calls.map((call) => call.query.get('limit')), ['50', '1'])
  })

  it('is at one moment in each partition', () => {
    const query = new URLSearchParams('labelSelector=a&limit=5&continue=x&resourceVersion=9')
    const next = pageQuery(query, { limit: 3, token: 'own', version: '7' })
    assert.equal(String(next), 'labelSelector=a&limit=3&continue=own')
    const first = pageQuery(query, { limit: 3, token: '', version: '7' })
    assert.equal(String(first), 'labelSelector=a&limit=3&resourceVersion=7&resourceVersionMatch=Exact')
  })

  it('refuses tokens that are not its own', () => {
    const ask = (token: string) => planList(new URLSearchParams({ continue: token, limit: '1' }), ['rp0'])
    assert.throws(
      () => ask('abc'),
      (error) => isStatus(error, 'Expired'),
    )
    const gone = encodePage({ versions: new Map([['gone', '1']]), partition: 'gone', token: '' })
    assert.throws(
      () => ask(gone),
      (error) => isStatus(error, 'Expired'),
    )
    const damaged = Buffer.from('{"v":"centaurus.io/page","rv":{}}').toString('base64url')
    assert.throws(
      () => ask(damaged),
      (error) => isStatus(error, 'BadRequest'),
    )
  })
})

describe('what the client accepts', () => {
  it('is answered in JSON if it may be, else in protobuf', () => {
    const table = 'application/json;as=Table;v=v1;g=meta.k8s.io'
    for (const [accept, media, asked] of [
      [undefined, 'json', 'application/json'],
      ['*/*', 'json', 'application/json'],
      [`${table},application/json`, 'json', `${table},application/json`],
      [`application/vnd.kubernetes.protobuf,application/json`, 'json', 'application/json'],
      [`application/vnd.kubernetes.protobuf`, 'protobuf', 'application/vnd.kubernetes.protobuf'],
    ] as const)
      assert.deepEqual(chooseFormat(accept), { media, accept: asked })
    assert.throws(
      () => chooseFormat('application/yaml'),
      (error) => isStatus(error, 'NotAcceptable'),
    )
  })
})

describe('the events of a merged watch', () => {
  const event = (type: string, resourceVersion = '', more: Partial<WatchFrame> = {}): WatchFrame => ({
    type,
    resourceVersion,
    annotations: {},
    endsInitialEvents: false,
    shape: { kind: 'Node', apiVersion: 'v1' },
    ...more,
  })

  for (const [name, codec] of [
    ['JSON', jsonWatchCodec],
    ['protobuf', protobufWatchCodec],
  ] as const satisfies readonly [string, WatchCodec][]) {
    it(`come whole in ${name}, however the bytes come`, () => {
      const shape = { kind: 'Node', apiVersion: 'v1' }
      const frames = ['1', '22', '333'].map((version) =>
        codec.bookmark(shape, version, { endsInitialEvents: version === '22' }),
      )
      const bytes = Buffer.concat(frames)
      for (let size = 1; size <= bytes.length; size += 7) {
        const seen: WatchFrame[] = []
        const split = codec.split((frame) => seen.push(codec.read(frame)))
        for (let at = 0; at < bytes.length; at += size) split(bytes.subarray(at, at + size))
        assert.deepEqual(
          seen.map(({ type, resourceVersion, endsInitialEvents }) => [type, resourceVersion, endsInitialEvents]),
          [
            ['BOOKMARK', '1', false],
            ['BOOKMARK', '22', true],
            ['BOOKMARK', '333', false],
          ],
        )
      }
    })

    it(`end in ${name} with what an API server would say`, () => {
      const { type, shape } = codec.read(codec.error(expired('gone').toStatus()))
      assert.equal(type, 'ERROR')
      assert.deepEqual([shape.kind, shape.apiVersion], ['Status', 'v1'])
    })
  }

  it('move the position of their own partition only, and never past what was not sent', () => {
    const step = fc.record({
      at: fc.nat(2),
      type: fc.constantFrom('ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'),
      by: fc.integer({ min: 1, max: 9 }),
    })
    const names = ['p0', 'p1', 'p2']
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.subarray(names), (steps, known) => {
        const start = new Map(known.map((name) => [name, '100']))
        const positions = new WatchPositions({ partitions: names, start, sendsInitialEvents: false })
        const heads = new Map(names.map((name) => [name, 100]))
        const told = new Map<string, string>(start)
        for (const { at, type, by } of steps) {
          const name = names[at]!
          heads.set(name, heads.get(name)! + by)
          const verdict = positions.take(name, event(type, String(heads.get(name))))
          assert.equal(verdict.forward, type !== 'BOOKMARK')
          if (type === 'BOOKMARK' || told.has(name)) told.set(name, String(heads.get(name)))
          assert.equal(verdict.bookmark, told.size === names.length ? 'position' : 'none')
          if (told.size === names.length)
            assert.deepEqual(new Map([...positions.version!].toSorted()), new Map([...told].toSorted()))
          else assert.equal(positions.version, undefined)
        }
      }),
    )
  })

  it('end what was there at the start when all partitions have', () => {
    const positions = new WatchPositions({ partitions: ['p0', 'p1'], start: new Map(), sendsInitialEvents: true })
    assert.deepEqual(positions.take('p0', event('ADDED', '5')), { forward: true, bookmark: 'none' })
    const end = { endsInitialEvents: true }
    assert.deepEqual(positions.take('p0', event('BOOKMARK', '9', end)), { forward: false, bookmark: 'none' })
    assert.deepEqual(positions.take('p1', event('BOOKMARK', '3')), { forward: false, bookmark: 'none' })
    assert.deepEqual(positions.take('p0', event('MODIFIED', '10')), { forward: true, bookmark: 'none' })
    assert.deepEqual(positions.take('p1', event('BOOKMARK', '4', end)), {
      forward: false,
      bookmark: 'initial-events-end',
    })
    assert.equal(formatVersion(positions.version!), 'p0_10~p1_4')
    assert.deepEqual(positions.take('p1', event('ADDED', '6')), { forward: true, bookmark: 'position' })
  })
})

describe('metrics of several partitions', () => {
  it('are one family each, with a label that tells the partition', () => {
    const text = (value: number): string =>
      [
        '# HELP h_seconds How long',
        '# TYPE h_seconds histogram',
        `h_seconds_bucket{le="+Inf",a="x}y"} ${value}`,
        `h_seconds_sum ${value}`,
        '# HELP g A gauge',
        '# TYPE g gauge',
        `g{b="c"} ${value}`,
        '',
      ].join('\n')
    const merged = mergeMetrics([
      { partition: 'p0', text: text(1) },
      { partition: 'p1', text: text(2) },
    ])
    assert.equal(
      merged,
      [
        '# HELP h_seconds How long',
        '# TYPE h_seconds histogram',
        'h_seconds_bucket{partition="p0",le="+Inf",a="x}y"} 1',
        'h_seconds_sum{partition="p0"} 1',
        'h_seconds_bucket{partition="p1",le="+Inf",a="x}y"} 2',
        'h_seconds_sum{partition="p1"} 2',
        '# HELP g A gauge',
        '# TYPE g gauge',
        'g{partition="p0",b="c"} 1',
        'g{partition="p1",b="c"} 2',
        '',
      ].join('\n'),
    )
  })
})
