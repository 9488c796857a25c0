import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { BpfMap, readMapInfo } from '../kernel/bpf-map.ts'
import { closeFd, openPinned } from '../kernel/bpf-syscall.ts'
import { readMapLayout } from '../kernel/map-layout.ts'
import { planKeys, planValues } from '../layouts/record-layout.ts'
import { FlowCarry, type TableConversion } from './carry-flows.ts'
import { countPossibleCpus, mapNameOf, type OpenPrograms } from './open-programs.ts'

/** Written by programs: what they hold is known nowhere else. */
const FLOW_TABLES = ['ct', 'fragments', 'service_flows', 'service_clients']
/** Read by people; begin at zero when they can't be shared. */
const COUNTER_TABLES = ['rule_hits', 'drops', 'level_counters', 'shaper_counters']
/** Written by daemons, each group as a whole: its tables name each other's entries. What is not carried over, the daemon's plan fills. */
const PLAN_GROUPS = {
  pods: [
    '.data.state',
    'pairs',
    'lists',
    'cidrs',
    'endpoints',
    'devices',
    'routes',
    'nodes',
    'networks',
    'identities',
    'egresses',
    'aliases',
    'own_blocks',
    '.data.shaping',
  ],
  services: ['.data.services', 'service_frontends', 'service_chunks', 'service_backends', 'service_sources'],
} as const
export type PlanGroup = keyof typeof PLAN_GROUPS
/** Nothing in them is older than two seconds. */
const PASSING_TABLES = ['log_budgets', 'service_scratches', 'level_clocks', 'shaper_clocks']
/** Every table must be in one of the lists. */
export const KNOWN_TABLES = [...FLOW_TABLES, ...COUNTER_TABLES, ...Object.values(PLAN_GROUPS).flat(), ...PASSING_TABLES]
/** They name backends by their places. */
const SERVICE_FLOW_TABLES = ['service_flows', 'service_clients']

const MAP_TYPE_ARRAY = 2
const FLOW_ROUNDS_MAX = 3
/** So few changes in one round that another round would find as many. */
const FEW_CHANGES = 64

/** Tables of another version, as they are pinned. */
export class OtherTables {
  readonly #maps: ReadonlyMap<string, BpfMap>

  constructor(dir: string) {
    const cpus = countPossibleCpus()
    const folder = join(dir, 'maps')
    const names = readdirSync(dir).includes('maps') ? readdirSync(folder) : []
    this.#maps = new Map(
      names.map((pin) => [mapNameOf(pin), new BpfMap(mapNameOf(pin), openPinned(join(folder, pin))!, cpus)]),
    )
  }

  /** Whether the kernel says of what their records consist. */
  get isReadable(): boolean {
    const flows = this.#maps.get('ct')
    return flows !== undefined && readMapLayout(flows.fd) !== undefined
  }

  /** Tables that both versions can write at a time, if their records are the same. */
  listShareable(): Map<string, number> {
    const names = [...FLOW_TABLES, ...COUNTER_TABLES]
    const maps = [...this.#maps].filter(([name, { fd }]) => names.includes(name) && readMapLayout(fd) !== undefined)
    return new Map(maps.map(([name, { fd }]) => [name, fd]))
  }

  get(name: string): BpfMap | undefined {
    return this.#maps.get(name)
  }

  close(): void {
    for (const { fd } of this.#maps.values()) closeFd(fd)
  }
}

/** Carries what tables of another version hold over into this one's. */
export class CarryOver {
  readonly #others: OtherTables
  readonly #programs: OpenPrograms
  #flows: readonly FlowCarry[] | undefined
  #hasServices = true

  constructor(others: OtherTables, programs: OpenPrograms) {
    this.#others = others
    this.#programs = programs
  }

  /** Into tables that are new. Returns the groups that could not be carried over. */
  copyPlan(): PlanGroup[] {
    const left = (Object.keys(PLAN_GROUPS) as PlanGroup[]).filter((group) => !this.#copyGroup(PLAN_GROUPS[group]))
    this.#hasServices = !left.includes('services')
    return left
  }

  /** Names of tables that programs write which could not be carried over. */
  listLostFlows(): string[] {
    const isCarried = (name: string): boolean => this.#isShared(name) || this.#conversionOf(name) !== undefined
    return FLOW_TABLES.filter((name) => !isCarried(name) || this.#hasOtherPlaces(name))
  }

  /** Brings the new tables of flows up to date; before the switch, as late as possible. */
  refreshFlows(): void {
    for (let round = 0; round < FLOW_ROUNDS_MAX; round++) {
      const changes = this.#flowCarries().reduce((sum, flows) => sum + flows.refresh(), 0)
      if (changes <= FEW_CHANGES) return
    }
  }

  /** After the switch: flows that the old programs wrote last. Returns their number. */
  finishFlows(): number {
    return this.#flowCarries().reduce((sum, flows) => sum + flows.finish(), 0)
  }

  #flowCarries(): readonly FlowCarry[] {
    this.#flows ??= FLOW_TABLES.flatMap((name) => {
      const conversion = this.#isShared(name) || this.#hasOtherPlaces(name) ? undefined : this.#conversionOf(name)
      return conversion === undefined ? [] : [new FlowCarry(conversion)]
    })
    return this.#flows
  }

  /** Backends have other places in the new tables than its entries say. */
  #hasOtherPlaces(name: string): boolean {
    return !this.#hasServices && SERVICE_FLOW_TABLES.includes(name)
  }

  #isShared(name: string): boolean {
    const from = this.#others.get(name)
    return from !== undefined && readMapInfo(from.fd).id === readMapInfo(this.#programs.map(name).fd).id
  }

  #conversionOf(name: string): TableConversion | undefined {
    const [from, to] = [this.#others.get(name), this.#programs.map(name)]
    const before = from && readMapLayout(from.fd)
    const after = readMapLayout(to.fd)
    if (from === undefined || before === undefined || after === undefined) return undefined
    const key = planKeys(before.key, after.key)
    const value = planValues(before.value, after.value)
    return key === undefined || value === undefined ? undefined : { from, to, key, value }
  }

  /** All of it or nothing. Tables that the other version does not have stay empty. */
  #copyGroup(names: readonly string[]): boolean {
    const known = names.filter((name) => this.#others.get(name) !== undefined)
    const copies = known.map((name) => {
      const conversion = this.#conversionOf(name)
      return conversion && convertAll(conversion)
    })
    if (copies.some((copy) => copy === undefined)) return false
    for (const copy of copies) copy!.to.setMany(copy!.entries)
    return true
  }
}

interface Copy {
  readonly to: BpfMap
  readonly entries: readonly (readonly [Buffer, Buffer])[]
}

/** Undefined: the new table has no room for them. */
function convertAll({ from, to, key, value }: TableConversion): Copy | undefined {
  const isArray = readMapInfo(to.fd).type === MAP_TYPE_ARRAY
  const entries = from.entries().filter(([, record]) => !isArray || record.some((byte) => byte !== 0))
  const converted = entries.map(([k, v]) => [key(k), value(v)] as const)
  if (!converted.every((entry): entry is readonly [Buffer, Buffer] => entry[0] !== undefined && entry[1] !== undefined))
    return undefined
  const hasRoom = isArray
    ? converted.every(([index]) => index.readUInt32LE() < to.maxEntries)
    : converted.length <= to.maxEntries
  return hasRoom ? { to, entries: converted } : undefined
}
