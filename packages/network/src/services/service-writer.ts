import {
  serviceBackend,
  serviceChunk,
  serviceFrontend,
  serviceKey,
  serviceSource,
  serviceSourceKey,
  serviceState,
} from '../layouts/services.ts'
import type { ServiceTables } from './service-tables.ts'
import { ServiceTableState, type TableProblem } from './table-state.ts'
import type { ServiceWrite, TableContent } from './writes.ts'

/** One table of the kernel. */
export interface KernelTable {
  readonly maxEntries: number
  /** Undefined when there is none. */
  get(key: Uint8Array): Buffer | undefined
  set(key: Uint8Array, value: Uint8Array): void
  setMany(entries: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): void
  delete(key: Uint8Array): boolean
  keys(): Buffer[]
  entries(): [key: Buffer, value: Buffer][]
}

export interface ServiceWriter {
  /**
   * Brings the kernel to `tables`, by as few writes as that takes. Returns services that a full table kept from it. Throws when the kernel refuses a write; the
   * next call then begins with what the kernel has.
   */
  apply(tables: ServiceTables): readonly TableProblem[]
}

type Entry = readonly [key: Buffer, value: Buffer]
type TableOf = (name: string) => KernelTable

/** Names in bpf/service_tables.h. */
const NAMES = {
  frontends: 'service_frontends',
  chunks: 'service_chunks',
  backends: 'service_backends',
  sources: 'service_sources',
  state: '.data.services',
} as const satisfies Record<ServiceWrite['table'], string>

/** Writes services' tables, which another process may have filled before. */
export function createServiceWriter(tableOf: TableOf): ServiceWriter {
  let state: ServiceTableState | undefined
  return {
    apply(tables) {
      state ??= new ServiceTableState(
        { backends: tableOf(NAMES.backends).maxEntries, chunks: tableOf(NAMES.chunks).maxEntries },
        readContent(tableOf),
      )
      const { writes, problems } = state.plan(tables)
      try {
        for (const run of splitRuns(writes)) makeWrites(run, tableOf)
      } catch (error) {
        state = undefined
        throw error
      }
      return problems
    },
  }
}

/** Neighbours that go to one table by one call. */
function splitRuns(writes: readonly ServiceWrite[]): ServiceWrite[][] {
  const runs: ServiceWrite[][] = []
  for (const write of writes) {
    const run = runs.at(-1)
    if (run?.[0]?.table === write.table && isRemoval(run[0]) === isRemoval(write)) run.push(write)
    else runs.push([write])
  }
  return runs
}

function isRemoval(write: ServiceWrite): boolean {
  return (write.table === 'frontends' && write.value === undefined) || (write.table === 'sources' && !write.isAllowed)
}

function makeWrites(run: readonly ServiceWrite[], tableOf: TableOf): void {
  const [first] = run
  if (first === undefined) return
  const table = tableOf(NAMES[first.table])
  const entries = run.map(encodeWrite)
  if (isRemoval(first)) for (const [key] of entries) table.delete(key)
  else if (first.table === 'sources') for (const [key, value] of entries) table.set(key, value)
  else table.setMany(entries)
}

function encodeWrite(write: ServiceWrite): Entry {
  switch (write.table) {
    case 'backends':
      return [indexKey(write.index), serviceBackend.encode(write.value)]
    case 'chunks':
      return [indexKey(write.index), serviceChunk.encode({ backends: write.backends })]
    case 'frontends':
      return [
        serviceKey.encode(write.key),
        write.value === undefined ? Buffer.alloc(0) : serviceFrontend.encode(write.value),
      ]
    case 'sources':
      return [serviceSourceKey.encode(write.key), serviceSource.encode({ allowed: 1 })]
    case 'state': {
      const { addresses, nodePorts } = write.filters
      const value = { epoch: write.epoch, addresses: [...addresses], nodePorts: [...nodePorts] }
      return [indexKey(0), serviceState.encode(value)]
    }
  }
}

function indexKey(index: number): Buffer {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(index)
  return key
}

function readContent(tableOf: TableOf): TableContent | undefined {
  const state = tableOf(NAMES.state).get(indexKey(0))
  if (state === undefined || state.every((byte) => byte === 0)) return undefined // nobody was here before
  const backends = tableOf(NAMES.backends)
  const chunks = tableOf(NAMES.chunks)
  const zero = Buffer.alloc(serviceBackend.size)
  return {
    frontends: tableOf(NAMES.frontends)
      .entries()
      .map(([key, value]) => ({ key: serviceKey.decode(key), value: serviceFrontend.decode(value) })),
    backends: Array.from({ length: backends.maxEntries }, (_, index) => index).flatMap((index) => {
      const value = backends.get(indexKey(index))
      return value === undefined || value.equals(zero) ? [] : [{ index, value: serviceBackend.decode(value) }]
    }),
    sources: tableOf(NAMES.sources)
      .keys()
      .map((key) => serviceSourceKey.decode(key)),
    epoch: serviceState.decode(state).epoch,
    readChunk: (index) => {
      const value = chunks.get(indexKey(index))
      return value === undefined ? [] : serviceChunk.decode(value).backends
    },
  }
}
