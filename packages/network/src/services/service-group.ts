import {
  BACKEND_CHOSEN,
  BACKEND_CHOSEN_EXTERNAL,
  BACKEND_KNOWN,
  BACKEND_SERVES,
  SERVICE_CHUNK_SLOTS,
  SERVICE_EMPTY_DROPS,
  SERVICE_EXTERNAL,
  SERVICE_EXTERNAL_EMPTY_DROPS,
  SERVICE_KEEPS_SOURCE,
  SERVICE_SOURCE_RANGES,
  type ServiceBackendRecord,
  type ServiceFrontendRecord,
} from '../layouts/services.ts'
import type { BackendPlaces } from './backend-places.ts'
import type { BlockAllocator } from './block-allocator.ts'
import { planPlaces, type Place } from './keys.ts'
import { fillMaglev, maglevSize } from './maglev.ts'
import type { ServiceBackend, ServiceFrontend } from './service-tables.ts'
import type { ServiceWrite } from './writes.ts'

/** What all services share. */
export interface GroupDeps {
  readonly places: BackendPlaces
  readonly chunks: BlockAllocator
}

export interface KnownBackend {
  readonly index: number
  readonly value: ServiceBackendRecord
}

/** A table of slots. */
export interface SlotBlock {
  readonly chunk: number
  readonly slots: number
}

export interface GroupChange {
  /** Before frontends change. */
  readonly before: readonly ServiceWrite[]
  /** After. */
  readonly after: readonly ServiceWrite[]
  /** Undefined: all went well; else nothing changed. */
  readonly problem?: string
}

const NOTHING: GroupChange = { before: [], after: [] }
/** Programs count 2^30 ns as a second (bpf/verdict.h). */
const COARSE_PER_SECOND = 1e9 / 2 ** 30
const NO_BLOCK: SlotBlock = { chunk: 0, slots: 0 }
/** Bits of an LPM key before the address: the service's number; of an IPv4 address in 16 bytes before its own. */
const SOURCE_PREFIX_BITS = 32 + 96

/** What the kernel has of one port of one Service: its backends and the tables of slots that its frontends lead to. */
export class ServiceGroup {
  /** In the kernel. */
  readonly service: number
  readonly #deps: GroupDeps
  /** By `address:port`. */
  #backends: Map<string, KnownBackend>
  /** By its backends. */
  #blocks: Map<string, SlotBlock>
  #sources: readonly string[]
  #content = ''
  #places: readonly Place[] = []

  constructor(service: number, deps: GroupDeps, found?: GroupContent) {
    this.service = service
    this.#deps = deps
    this.#backends = new Map(found?.backends.map((known) => [nameOf(known.value), known]))
    this.#blocks = new Map(found?.blocks)
    this.#sources = found?.sources ?? []
  }

  /** Where its frontends stand; the same objects as long as nothing of it changes. */
  get places(): readonly Place[] {
    return this.#places
  }

  /** Goes over to `frontends`, all of one name and network. */
  change(frontends: readonly ServiceFrontend[]): GroupChange {
    const content = JSON.stringify(frontends)
    if (content === this.#content) return NOTHING
    const backends = this.#placeBackends(listWanted(frontends))
    if (backends === undefined) return { ...NOTHING, problem: 'The table of backends is full' }
    const blocks = this.#placeBlocks(frontends, backends)
    if (blocks === undefined) {
      for (const [name, { index }] of backends) if (!this.#backends.has(name)) this.#deps.places.release(index)
      return { ...NOTHING, problem: 'The table of slots is full' }
    }
    const sources = [...new Set(frontends.flatMap(({ sourceRanges }) => sourceRanges ?? []))]
    const change = {
      before: [...this.#newBackends(backends), ...blocks.writes, ...this.#sourceWrites(sources, this.#sources)],
      after: [...this.#lostBackends(backends), ...this.#sourceWrites(this.#sources, sources)],
    }
    for (const [key, { chunk, slots }] of this.#blocks)
      if (!blocks.blocks.has(key) && slots > 0) this.#deps.chunks.release(chunk)
    this.#content = content
    this.#backends = backends
    this.#blocks = blocks.blocks
    this.#sources = sources
    this.#places = frontends.flatMap((frontend) => planPlaces(frontend, this.#record(frontend)))
    return change
  }

  /** Gives everything back. */
  remove(): readonly ServiceWrite[] {
    return this.change([]).after
  }

  #placeBackends(wanted: ReadonlyMap<string, Wanted>): Map<string, KnownBackend> | undefined {
    const placed = new Map<string, KnownBackend>()
    const taken: number[] = []
    for (const [name, { ip, port, flags }] of wanted) {
      const known = this.#backends.get(name)
      const place = known === undefined ? this.#deps.places.allocate() : undefined
      if (place !== undefined) taken.push(place.index)
      const index = known?.index ?? place?.index
      const generation = known?.value.generation ?? place?.generation
      if (index === undefined || generation === undefined) {
        for (const other of taken) this.#deps.places.release(other)
        return undefined
      }
      placed.set(name, { index, value: { ip, port, flags, generation, service: this.service } })
    }
    return placed
  }

  #placeBlocks(
    frontends: readonly ServiceFrontend[],
    backends: ReadonlyMap<string, KnownBackend>,
  ): { blocks: Map<string, SlotBlock>; writes: ServiceWrite[] } | undefined {
    const blocks = new Map<string, SlotBlock>()
    const writes: ServiceWrite[] = []
    const taken: number[] = []
    for (const list of frontends.flatMap((frontend) => [frontend.backends, frontend.externalBackends])) {
      const names = list.map(nameOf)
      const key = blockKey(names)
      if (names.length === 0 || blocks.has(key)) continue
      const old = this.#blocks.get(key)
      const slots = maglevSize(names.length)
      const chunk = old?.chunk ?? this.#deps.chunks.allocate(Math.ceil(slots / SERVICE_CHUNK_SLOTS))
      if (chunk === undefined) {
        for (const other of taken) this.#deps.chunks.release(other)
        return undefined
      }
      blocks.set(key, { chunk, slots })
      if (old !== undefined) continue
      taken.push(chunk)
      const indexes = names.map((name) => backends.get(name)?.index ?? 0)
      writes.push(
        ...chunkWrites(
          chunk,
          [...fillMaglev(names, slots)].map((place) => indexes[place] ?? 0),
        ),
      )
    }
    return { blocks, writes }
  }

  /** Backends that are new or may do more. */
  #newBackends(backends: ReadonlyMap<string, KnownBackend>): ServiceWrite[] {
    return [...backends]
      .filter(([name, { value }]) => {
        const old = this.#backends.get(name)?.value.flags
        return old === undefined || (old !== value.flags && !losesFlags(old, value.flags))
      })
      .map(([, { index, value }]) => ({ table: 'backends', index, value }))
  }

  /** Backends that are gone or may do less: after the frontends, since flows that began meanwhile must find out. */
  #lostBackends(backends: ReadonlyMap<string, KnownBackend>): ServiceWrite[] {
    return [...this.#backends].flatMap(([name, { index, value }]): ServiceWrite[] => {
      const next = backends.get(name)
      if (next === undefined) {
        this.#deps.places.release(index)
        return [{ table: 'backends', index, value: { ...value, flags: 0 } }]
      }
      return losesFlags(value.flags, next.value.flags) ? [{ table: 'backends', index, value: next.value }] : []
    })
  }

  /** Allows what is in `wanted` and not in `others`, or forbids it when `wanted` is what was. */
  #sourceWrites(wanted: readonly string[], others: readonly string[]): ServiceWrite[] {
    return wanted
      .filter((range) => !others.includes(range))
      .map((range) => {
        const [ip = '', bits = ''] = range.split('/')
        const key = { prefixLength: SOURCE_PREFIX_BITS + Number(bits), service: this.service, ip }
        return { table: 'sources', key, isAllowed: wanted !== this.#sources }
      })
  }

  #record(frontend: ServiceFrontend): ServiceFrontendRecord {
    const block = this.#blockOf(frontend.backends)
    const external = this.#blockOf(frontend.externalBackends)
    return {
      service: this.service,
      vni: frontend.vni,
      ...block,
      externalChunk: external.chunk,
      externalSlots: external.slots,
      affinity: Math.ceil(frontend.affinitySeconds * COARSE_PER_SECOND),
      flags: flagsOf(frontend),
    }
  }

  #blockOf(list: readonly ServiceBackend[]): SlotBlock {
    return this.#blocks.get(blockKey(list.map(nameOf))) ?? NO_BLOCK
  }
}

/** What another process left in the kernel for a service. */
export interface GroupContent {
  readonly backends: readonly KnownBackend[]
  readonly blocks: ReadonlyMap<string, SlotBlock>
  /** Blocks of addresses, such as `10.0.0.0/8`. */
  readonly sources: readonly string[]
}

interface Wanted {
  readonly ip: string
  readonly port: number
  readonly flags: number
}

export function nameOf({ ip, port }: { readonly ip: string; readonly port: number }): string {
  return `${ip}:${port}`
}

/** By which a table of slots is found: its backends, in whatever order. */
export function blockKey(names: readonly string[]): string {
  return names.toSorted().join(' ')
}

/** `10.0.0.0/8` of a key. */
export function sourceRangeOf({ ip, prefixLength }: { readonly ip: string; readonly prefixLength: number }): string {
  return `${ip}/${prefixLength - SOURCE_PREFIX_BITS}`
}

function listWanted(frontends: readonly ServiceFrontend[]): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>()
  const add = (backend: ServiceBackend, flags: number): void => {
    const name = nameOf(backend)
    const { ip, port } = backend
    wanted.set(name, { ip, port, flags: (wanted.get(name)?.flags ?? BACKEND_KNOWN) | flags })
  }
  for (const { backends, externalBackends, draining } of frontends) {
    for (const backend of backends) add(backend, BACKEND_CHOSEN | BACKEND_SERVES)
    for (const backend of externalBackends) add(backend, BACKEND_CHOSEN_EXTERNAL | BACKEND_SERVES)
    for (const backend of draining) add(backend, backend.isServing ? BACKEND_SERVES : 0)
  }
  return wanted
}

function losesFlags(before: number, after: number): boolean {
  return (before & ~after) !== 0
}

function chunkWrites(first: number, slots: readonly number[]): ServiceWrite[] {
  const writes: ServiceWrite[] = []
  for (let i = 0; i < slots.length; i += SERVICE_CHUNK_SLOTS)
    writes.push({
      table: 'chunks',
      index: first + i / SERVICE_CHUNK_SLOTS,
      backends: slots.slice(i, i + SERVICE_CHUNK_SLOTS),
    })
  return writes
}

function flagsOf(frontend: ServiceFrontend): number {
  return (
    (frontend.scope === 'external' ? SERVICE_EXTERNAL : 0) |
    (frontend.keepsSource ? SERVICE_KEEPS_SOURCE : 0) |
    (frontend.sourceRanges === undefined ? 0 : SERVICE_SOURCE_RANGES) |
    (frontend.whenEmpty === 'drop' ? SERVICE_EMPTY_DROPS : 0) |
    (frontend.whenExternalEmpty === 'drop' ? SERVICE_EXTERNAL_EMPTY_DROPS : 0)
  )
}
