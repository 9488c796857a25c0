import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  BACKEND_CHOSEN,
  BACKEND_CHOSEN_EXTERNAL,
  BACKEND_KNOWN,
  BACKEND_SERVES,
  type ServiceBackendRecord,
  type ServiceFrontendRecord,
  type ServiceKey,
  type ServiceSourceKey,
} from '../layouts/services.ts'
import { serviceAddressBit } from './keys.ts'
import type { ServiceFrontend } from './service-tables.ts'
import { ServiceTableState } from './table-state.ts'
import type { ServiceWrite, TableContent } from './writes.ts'

const LIMITS = { backends: 1000, chunks: 1000 }

function frontend(index: number, backends: readonly string[], more: Partial<ServiceFrontend> = {}): ServiceFrontend {
  return {
    vni: 7,
    ip: `10.96.${index >> 8}.${index & 255}`,
    scope: 'cluster',
    port: 80,
    protocol: 'TCP',
    backends: backends.map((ip) => ({ ip, port: 8080, isLocal: false })),
    whenEmpty: 'refuse',
    externalBackends: [],
    whenExternalEmpty: 'drop',
    draining: [],
    keepsSource: false,
    sourceRanges: undefined,
    affinitySeconds: 0,
    name: `default/web-${index}:http`,
    ...more,
  }
}

const pods = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `10.244.${from}.${i + 1}`)

/** What a kernel would hold, and what a program would see of it at every moment. */
class Tables {
  readonly frontends = new Map<string, { key: ServiceKey; value: ServiceFrontendRecord }>()
  readonly backends = new Map<number, ServiceBackendRecord>()
  readonly chunks = new Map<number, readonly number[]>()
  readonly sources = new Map<string, ServiceSourceKey>()
  epoch = 0

  write(write: ServiceWrite): void {
    if (write.table === 'backends') this.backends.set(write.index, write.value)
    else if (write.table === 'chunks') this.chunks.set(write.index, write.backends)
    else if (write.table === 'state') this.epoch = write.epoch
    else if (write.table === 'sources') {
      const text = JSON.stringify(write.key)
      if (write.isAllowed) this.sources.set(text, write.key)
      else this.sources.delete(text)
    } else {
      const { key, value } = write
      const text = `${key.vni} ${key.ip} ${key.port} ${key.protocol}`
      if (value === undefined) this.frontends.delete(text)
      else this.frontends.set(text, { key, value })
    }
  }

  /** Addresses in all slots of a frontend; throws when one leads to nothing. */
  slotsOf(text: string): string[] {
    const found = this.frontends.get(text)
    assert.ok(found, text)
    const { chunk, slots, service } = found.value
    return Array.from({ length: slots }, (_, slot) => {
      const backend = this.backends.get(this.chunks.get(chunk + (slot >> 6))?.[slot & 63] ?? -1)
      assert.ok(backend !== undefined && (backend.flags & BACKEND_CHOSEN) !== 0, `${text}: slot ${slot}`)
      assert.equal(backend.service, service)
      return backend.ip
    })
  }

  addressesOf(text: string): string[] {
    return [...new Set(this.slotsOf(text))].sort()
  }

  content(): TableContent {
    return {
      frontends: [...this.frontends.values()],
      backends: [...this.backends].map(([index, value]) => ({ index, value })),
      sources: [...this.sources.values()],
      epoch: this.epoch,
      readChunk: (index) => this.chunks.get(index) ?? [],
    }
  }
}

function apply(state: ServiceTableState, tables: Tables, frontends: readonly ServiceFrontend[]): ServiceWrite[] {
  const { writes, problems } = state.plan({ frontends })
  assert.deepEqual(problems, [])
  for (const write of writes) tables.write(write)
  return [...writes]
}

const count = (writes: readonly ServiceWrite[]): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(writes, ({ table }) => table)].map(([table, list]) => [table, list.length]))

describe('ServiceTableState', () => {
  it('places a ClusterIP for its network and for this host, and refuses its other ports', () => {
    const tables = new Tables()
    apply(new ServiceTableState(LIMITS), tables, [frontend(1, pods(3))])
    assert.deepEqual(
      [...tables.frontends.keys()],
      ['7 10.96.0.1 80 6', '0 10.96.0.1 80 6', '7 10.96.0.1 0 0', '0 10.96.0.1 0 0'],
    )
    assert.deepEqual(tables.addressesOf('0 10.96.0.1 80 6'), pods(3))
    assert.equal(tables.frontends.get('7 10.96.0.1 0 0')?.value.slots, 0)
  })

  it('places a node port once, whatever the network', () => {
    const tables = new Tables()
    apply(new ServiceTableState(LIMITS), tables, [
      frontend(1, pods(1), { ip: undefined, port: 30_080, scope: 'external' }),
    ])
    assert.deepEqual([...tables.frontends.keys()], ['0 0.0.0.0 30080 6'])
  })

  it('shares backends and tables between the frontends of one port', () => {
    const lists = { externalBackends: frontend(1, pods(3)).backends, scope: 'external' } as const
    const external = [
      frontend(1, pods(3), { ...lists, ip: '192.0.2.1' }),
      frontend(1, pods(3), { ...lists, ip: undefined, port: 30_080 }),
    ]
    const writes = apply(new ServiceTableState(LIMITS), new Tables(), [frontend(1, pods(3)), ...external])
    assert.deepEqual(count(writes), { backends: 3, chunks: 4, frontends: 7, state: 1 })
    const flags = BACKEND_KNOWN | BACKEND_CHOSEN | BACKEND_CHOSEN_EXTERNAL | BACKEND_SERVES
    assert.ok(writes.every((write) => write.table !== 'backends' || write.value.flags === flags))
  })

  it('writes nothing when nothing changed, and only what the changed one of 5,000 services needs', () => {
    const all = Array.from({ length: 5000 }, (_, i) => frontend(i, pods(10, i % 250)))
    const state = new ServiceTableState({ backends: 65_536, chunks: 32_768 })
    const tables = new Tables()
    assert.deepEqual(count(apply(state, tables, all)), {
      backends: 50_000,
      chunks: 20_000,
      frontends: 20_000,
      state: 1,
    })
    assert.deepEqual(apply(state, tables, all), [])
    const grown = all.with(77, frontend(77, [...pods(10, 77), '10.244.251.1']))
    assert.deepEqual(count(apply(state, tables, grown)), { backends: 1, chunks: 16, frontends: 2 })
    assert.deepEqual(count(apply(state, tables, all)), { chunks: 4, frontends: 2, backends: 1, state: 1 })
    assert.deepEqual(count(apply(state, tables, all.slice(1))), { frontends: 4, backends: 10, state: 1 })
  })

  it('fills a table before a frontend leads to it, and touches the old one only later', () => {
    const state = new ServiceTableState(LIMITS)
    const tables = new Tables()
    apply(state, tables, [frontend(1, pods(3))])
    const old = tables.frontends.get('7 10.96.0.1 80 6')?.value.chunk
    for (const write of state.plan({ frontends: [frontend(1, pods(3, 9))] }).writes) {
      const before = tables.slotsOf('7 10.96.0.1 80 6')
      tables.write(write)
      if (write.table === 'chunks') assert.notEqual(write.index, old)
      if (write.table === 'backends' && write.value.flags !== 0)
        assert.deepEqual(tables.slotsOf('7 10.96.0.1 80 6'), before)
    }
    assert.deepEqual(tables.addressesOf('7 10.96.0.1 80 6'), pods(3, 9))
  })

  it('raises the epoch when a backend is gone or ends, with a generation no flow knows for the next one in its place', () => {
    const state = new ServiceTableState(LIMITS)
    const tables = new Tables()
    apply(state, tables, [frontend(1, ['10.244.1.1', '10.244.1.2'])])
    const draining = [{ ip: '10.244.1.2', port: 8080, isLocal: false, isServing: true }]
    apply(state, tables, [frontend(1, ['10.244.1.1'], { draining })])
    const ending = [...tables.backends.values()].find(({ ip }) => ip === '10.244.1.2')
    assert.deepEqual([tables.epoch, ending?.flags], [1, BACKEND_KNOWN | BACKEND_SERVES])
    apply(state, tables, [frontend(1, ['10.244.1.1'])])
    assert.deepEqual([tables.epoch, tables.backends.get(1)?.flags], [2, 0])
    apply(state, tables, [frontend(1, ['10.244.1.1', '10.244.1.3'])])
    assert.equal(tables.epoch, 2)
    assert.equal(tables.backends.get(1)?.ip, '10.244.1.3')
    assert.notEqual(tables.backends.get(1)?.generation, ending?.generation)
  })

  it('keeps a service as it was, and says so, when a table is full', () => {
    const state = new ServiceTableState({ backends: 4, chunks: 3 })
    const tables = new Tables()
    apply(state, tables, [frontend(1, pods(2)), frontend(2, pods(2, 5))])
    const full = state.plan({ frontends: [frontend(1, pods(3)), frontend(2, pods(2, 5))] })
    assert.deepEqual(
      [full.writes, full.problems],
      [[], [{ name: 'default/web-1:http', reason: 'The table of backends is full' }]],
    )
    const slots = state.plan({
      frontends: [frontend(1, pods(1)), frontend(2, ['10.244.5.1', '10.244.6.1']), frontend(3, ['10.244.6.1'])],
    })
    for (const write of slots.writes) tables.write(write)
    assert.deepEqual(
      slots.problems.map(({ name }) => name),
      ['default/web-2:http', 'default/web-3:http'],
    )
    assert.deepEqual(tables.addressesOf('7 10.96.0.2 80 6'), pods(2, 5))
    assert.deepEqual(
      state.plan({ frontends: [frontend(1, pods(1)), frontend(2, ['10.244.5.1', '10.244.6.1'])] }).problems,
      [],
    )
  })

  it('allows source ranges before the frontend asks for them and forbids them after', () => {
    const state = new ServiceTableState(LIMITS)
    const external = (...sourceRanges: string[]): ServiceFrontend[] => [
      frontend(1, pods(1), { scope: 'external', sourceRanges }),
    ]
    const [first] = apply(state, new Tables(), external('192.0.2.0/24')).filter(({ table }) => table === 'sources')
    assert.deepEqual(first, {
      table: 'sources',
      key: { prefixLength: 32 + 120, service: 1, ip: '192.0.2.0' },
      isAllowed: true,
    })
    const changed = apply(state, new Tables(), external('198.51.100.0/24')).filter(({ table }) => table === 'sources')
    assert.deepEqual(
      changed.map((write) => write.table === 'sources' && [write.key.ip, write.isAllowed]),
      [
        ['198.51.100.0', true],
        ['192.0.2.0', false],
      ],
    )
  })

  it('goes on with what another process left: equal tables need one write, others only their difference', () => {
    const tables = new Tables()
    const sourceRanges = ['192.0.2.0/24']
    const left = [
      frontend(1, pods(3)),
      frontend(2, pods(12, 5), { scope: 'external', sourceRanges }),
      frontend(3, pods(1, 6)),
    ]
    apply(new ServiceTableState(LIMITS), tables, left)
    assert.deepEqual(count(apply(new ServiceTableState(LIMITS, tables.content()), tables, left)), { state: 1 })
    const writes = apply(new ServiceTableState(LIMITS, tables.content()), tables, [
      frontend(1, pods(3)),
      frontend(4, pods(2, 8)),
    ])
    assert.deepEqual(count(writes), { frontends: 4 + 2 + 4, backends: 2 + 13, chunks: 1, sources: 1, state: 1 })
    assert.deepEqual(tables.addressesOf('7 10.96.0.4 80 6'), pods(2, 8))
    assert.equal(tables.sources.size, 0)
  })

  it('leads to chosen backends only, at every moment of any history, with restarts between', () => {
    const step = fc.array(
      fc.record({ index: fc.nat({ max: 5 }), count: fc.nat({ max: 30 }), from: fc.nat({ max: 3 }) }),
      { maxLength: 6 },
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.boolean()), { maxLength: 12 }), (steps) => {
        const tables = new Tables()
        let state = new ServiceTableState(LIMITS)
        for (const [services, restarts] of steps) {
          if (restarts) state = new ServiceTableState(LIMITS, tables.content())
          const unique = [...new Map(services.map((service) => [service.index, service])).values()]
          const frontends = unique.map(({ index, count: size, from }) => frontend(index, pods(size, from)))
          for (const write of state.plan({ frontends }).writes) {
            tables.write(write)
            if (write.table === 'frontends' || write.table === 'chunks')
              for (const text of tables.frontends.keys()) tables.slotsOf(text)
          }
          assert.equal(tables.frontends.size, frontends.length * 4)
          for (const { ip, backends } of frontends)
            assert.deepEqual(tables.addressesOf(`7 ${ip} 80 6`), backends.map((backend) => backend.ip).sort())
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('serviceAddressBit', () => {
  it('is the hash that programs use', () => {
    assert.deepEqual(['10.96.0.1', '10.96.0.2', '255.255.255.255'].map(serviceAddressBit), [10_903, 51_406, 25_032])
  })
})
