/**
 * What the kernel's tables of services hold, and which writes bring them to what they should hold. Only what differs is written. A frontend changes by one
 * write: the table of slots that it leads to is complete before, and the old one stays as it is until the next change.
 */
import { SERVICE_CHUNK_SLOTS } from '../layouts/services.ts'
import { BackendPlaces } from './backend-places.ts'
import { BlockAllocator } from './block-allocator.ts'
import { areSameFilters, fillFilters, placeAt, planPlaces, type Filters, type Place } from './keys.ts'
import {
  blockKey,
  nameOf,
  ServiceGroup,
  sourceRangeOf,
  type GroupContent,
  type GroupDeps,
  type SlotBlock,
} from './service-group.ts'
import type { ServiceFrontend, ServiceTables } from './service-tables.ts'
import type { ServiceWrite, TableContent } from './writes.ts'

export interface TableLimits {
  readonly backends: number
  readonly chunks: number
}

/** A service that keeps what it had, or is not served, since a table is full. */
export interface TableProblem {
  /** As its frontends': `default/web:http`. */
  readonly name: string
  readonly reason: string
}

export interface TableChange {
  /** To be made in this order. */
  readonly writes: readonly ServiceWrite[]
  readonly problems: readonly TableProblem[]
}

export class ServiceTableState {
  readonly #deps: GroupDeps
  /** By network and name. */
  readonly #groups = new Map<string, ServiceGroup>()
  /** By number: what another process left and no frontend claimed yet. */
  readonly #found: Map<number, GroupContent>
  #places: Map<string, Place>
  /** Undefined: not known. */
  #filters: Filters | undefined
  #epoch: number
  #nextService: number

  /** `content`: what another process left in the kernel; its services keep their numbers, backends and tables of slots. */
  constructor(limits: TableLimits, content: TableContent = EMPTY) {
    this.#deps = {
      places: BackendPlaces.recover(limits.backends, content.backends),
      chunks: new BlockAllocator(limits.chunks),
    }
    this.#places = new Map(
      content.frontends.map(({ key, value }) => placeAt(key, value)).map((place) => [place.text, place]),
    )
    this.#found = readGroups(content, this.#deps.chunks)
    this.#epoch = content.epoch
    this.#nextService = Math.max(0, ...this.#found.keys()) + 1
  }

  /** Writes that bring the kernel to `tables`. They must all be made before the next call; after a failed one, begin anew from the kernel's content. */
  plan(tables: ServiceTables): TableChange {
    this.#deps.chunks.settle()
    this.#deps.places.settle()
    const before: ServiceWrite[] = []
    const after: ServiceWrite[] = []
    const problems: TableProblem[] = []
    const wanted = groupFrontends(tables.frontends)
    for (const [id, group] of this.#groups)
      if (!wanted.has(id)) {
        after.push(...group.remove())
        this.#groups.delete(id)
      }
    for (const [id, frontends] of wanted) {
      const group = this.#groups.get(id) ?? this.#createGroup(frontends)
      this.#groups.set(id, group)
      const change = group.change(frontends)
      before.push(...change.before)
      after.push(...change.after)
      if (change.problem !== undefined) problems.push({ name: frontends[0]?.name ?? '', reason: change.problem })
    }
    after.push(...this.#removeFound())
    const frontends = this.#planFrontends(wanted.keys())
    return { writes: [...before, ...frontends, ...after, ...this.#planState(tables, after)], problems }
  }

  #createGroup(frontends: readonly ServiceFrontend[]): ServiceGroup {
    for (const frontend of frontends)
      for (const { text } of planPlaces(frontend, NO_RECORD)) {
        const service = this.#places.get(text)?.value.service ?? 0
        const content = this.#found.get(service)
        if (content === undefined) continue
        this.#found.delete(service)
        return new ServiceGroup(service, this.#deps, content)
      }
    return new ServiceGroup(this.#nextService++, this.#deps)
  }

  #removeFound(): ServiceWrite[] {
    const writes = [...this.#found].flatMap(([service, content]) =>
      new ServiceGroup(service, this.#deps, content).remove(),
    )
    this.#found.clear()
    return writes
  }

  #planFrontends(groups: Iterable<string>): ServiceWrite[] {
    const places = new Map<string, Place>()
    for (const id of groups)
      for (const place of this.#groups.get(id)?.places ?? []) if (!places.has(place.text)) places.set(place.text, place) // the host is in one network: of equal ClusterIPs it asks that of the lowest VNI
    const writes: ServiceWrite[] = []
    for (const [text, { key, value }] of places)
      if (!isSameValue(this.#places.get(text)?.value, value)) writes.push({ table: 'frontends', key, value })
    for (const [text, { key }] of this.#places)
      if (!places.has(text)) writes.push({ table: 'frontends', key, value: undefined })
    this.#places = places
    return writes
  }

  #planState({ frontends }: ServiceTables, removals: readonly ServiceWrite[]): ServiceWrite[] {
    const filters = fillFilters(frontends)
    const isLess = removals.some(({ table }) => table === 'backends')
    if (!isLess && this.#filters !== undefined && areSameFilters(filters, this.#filters)) return []
    this.#filters = filters
    if (isLess) this.#epoch = (this.#epoch + 1) >>> 0
    return [{ table: 'state', epoch: this.#epoch, filters }]
  }
}

const EMPTY: TableContent = { frontends: [], backends: [], sources: [], epoch: 0, readChunk: () => [] }
const NO_RECORD: Place['value'] = {
  service: 0,
  vni: 0,
  chunk: 0,
  slots: 0,
  externalChunk: 0,
  externalSlots: 0,
  affinity: 0,
  flags: 0,
}

function groupFrontends(frontends: readonly ServiceFrontend[]): Map<string, ServiceFrontend[]> {
  const groups = new Map<string, ServiceFrontend[]>()
  for (const frontend of frontends) {
    const id = `${frontend.vni} ${frontend.name}`
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [frontend])
    else group.push(frontend)
  }
  return groups
}

function isSameValue(a: Place['value'] | undefined, b: Place['value']): boolean {
  if (a === b) return true
  return a !== undefined && Object.entries(b).every(([field, value]) => a[field as keyof Place['value']] === value)
}

function readGroups(content: TableContent, chunks: BlockAllocator): Map<number, GroupContent> {
  const names = new Map<number, string>()
  const backends = new Map<number, TableContent['backends'][number][]>()
  for (const known of content.backends) {
    if (known.value.flags === 0) continue
    names.set(known.index, nameOf(known.value))
    backends.set(known.value.service, [...(backends.get(known.value.service) ?? []), known])
  }
  const blocks = new Map<number, Map<string, SlotBlock>>()
  for (const { value } of content.frontends)
    for (const block of [value, { chunk: value.externalChunk, slots: value.externalSlots }]) {
      if (block.slots === 0 || !chunks.reserve(block.chunk, Math.ceil(block.slots / SERVICE_CHUNK_SLOTS))) continue
      const key = blockKey(readNames(block, content, names))
      const ofService = blocks.get(value.service) ?? new Map<string, SlotBlock>()
      blocks.set(value.service, ofService.set(key, { chunk: block.chunk, slots: block.slots }))
    }
  const services = new Set([...backends.keys(), ...blocks.keys(), ...content.sources.map(({ service }) => service)])
  return new Map(
    [...services].map((service) => [
      service,
      {
        backends: backends.get(service) ?? [],
        blocks: blocks.get(service) ?? new Map(),
        sources: content.sources.filter((key) => key.service === service).map(sourceRangeOf),
      },
    ]),
  )
}

/** Names of the backends that have slots. */
function readNames({ chunk, slots }: SlotBlock, content: TableContent, names: ReadonlyMap<number, string>): string[] {
  const found = new Set<number>()
  for (let slot = 0; slot < slots; slot += SERVICE_CHUNK_SLOTS)
    for (const index of content.readChunk(chunk + slot / SERVICE_CHUNK_SLOTS).slice(0, slots - slot)) found.add(index)
  return [...found].map((index) => names.get(index) ?? '')
}
