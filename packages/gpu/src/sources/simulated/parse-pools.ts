/** The file that says which GPUs to simulate. */
import { GPU_DEVICES_MAX, GPU_MEMORY_MIB_MAX } from '@centaurus/api/gpu'
import { load } from 'js-yaml'
import { CUBE_MESH_COUNT, PRESETS, TOPOLOGIES, type MachineShape, type Topology } from './presets.ts'

/** Nodes that have the same GPUs. */
export interface SimulatedPool extends MachineShape {
  readonly name: string
  /** Names of nodes; `*` stands for any characters. */
  readonly nodes: readonly string[]
  /** GPUs that are not healthy, by their place in the pool. */
  readonly unhealthy: readonly number[]
  /** In place of what {@link MachineShape.topology} makes; undefined: that. */
  readonly links: readonly (readonly number[])[] | undefined
}

const POOLS_MAX = 1_000
const MODEL_LENGTH_MAX = 128
const MULTIPROCESSORS_MAX = 1_000
const NUMA_NODES_MAX = 64
const NVLINKS_MAX = 64
const LINK_MAX = 1_000
/** As a bare pool without a preset is. */
const PLAIN: MachineShape = PRESETS['pcie-t4']!
const FIELDS = new Set([
  'name',
  'nodes',
  'preset',
  'count',
  'model',
  'memoryMiB',
  'multiprocessors',
  'numaNodes',
  'topology',
  'nvlinks',
  'links',
  'unhealthy',
])

/** Reads YAML or JSON. Throws `SyntaxError` with all that is wrong, a line each. */
export function parsePools(text: string): SimulatedPool[] {
  let value: unknown
  try {
    value = load(text)
  } catch (cause) {
    throw new SyntaxError(`must be YAML or JSON: ${(cause as Error).message}`, { cause })
  }
  const list = isRecord(value) ? value['pools'] : undefined
  if (!Array.isArray(list) || list.length > POOLS_MAX)
    throw new SyntaxError(`must have \`pools\`, a list of at most ${POOLS_MAX}`)
  const problems: string[] = []
  const pools = list.map((pool, i) => parsePool(pool, (rule) => problems.push(`pools[${i}]${rule}`)))
  const names = pools.map(({ name }) => name)
  for (const name of new Set(names.filter((each, i) => names.indexOf(each) !== i)))
    problems.push(`pools: two must not have the same name: ${JSON.stringify(name)}`)
  if (problems.length > 0) throw new SyntaxError(problems.join('\n'))
  return pools
}

/** Whether a node has the GPUs of a pool. */
export function isNodeOf({ nodes }: SimulatedPool, nodeName: string): boolean {
  return nodes.some((pattern) => {
    const parts = pattern.split('*').map((part) => part.replaceAll(/[.]/g, String.raw`\.`))
    return new RegExp(`^${parts.join('.*')}$`).test(nodeName)
  })
}

type Report = (rule: string) => void

function parsePool(value: unknown, report: Report): SimulatedPool {
  if (!isRecord(value)) {
    report(' must be an object')
    return { ...PLAIN, name: '', nodes: [], unhealthy: [], links: undefined }
  }
  for (const key of Object.keys(value)) {
    if (!FIELDS.has(key)) report(`.${key}: there is no such field; there are ${[...FIELDS].join(', ')}`)
  }
  const { name, nodes = ['*'], unhealthy = [], links } = value
  if (typeof name !== 'string' || !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    report('.name must be lower-case letters, digits and "-", at most 63')
  if (!isListOf(nodes, (each) => typeof each === 'string' && /^[-a-z0-9.*]{1,253}$/.test(each)))
    report('.nodes must be a list of names of nodes, in which * stands for any characters')
  const machine = parseMachine(value, report)
  if (!isListOf(unhealthy, (each) => isCount(each, { min: 0, max: machine.count - 1 })))
    report(`.unhealthy must be a list of numbers from 0 to ${machine.count - 1}`)
  if (links !== undefined && !isLinks(links, machine.count))
    report(
      `.links must be ${machine.count} lists of ${machine.count} numbers from 0 to ${LINK_MAX}, the same both ways`,
    )
  return {
    ...machine,
    name: String(name),
    nodes: nodes as string[],
    unhealthy: unhealthy as number[],
    links: links as number[][] | undefined,
  }
}

function parseMachine(value: Record<string, unknown>, report: Report): MachineShape {
  const { preset } = value
  const known = typeof preset === 'string' ? PRESETS[preset] : undefined
  if (preset !== undefined && known === undefined) report(`.preset must be one of ${Object.keys(PRESETS).join(', ')}`)
  if (preset === undefined && value['model'] === undefined) report('.model or .preset must be there')
  const machine = { ...(known ?? PLAIN), ...definedOf(value) } as MachineShape
  const { count, model, topology } = machine
  const check = (isRight: boolean, rule: string): void => {
    if (!isRight) report(`.${rule}`)
  }
  const range = (
    key: 'count' | 'memoryMiB' | 'multiprocessors' | 'numaNodes' | 'nvlinks',
    min: number,
    max: number,
  ): void => check(isCount(machine[key], { min, max }), `${key} must be a number from ${min} to ${max}`)
  range('count', 0, GPU_DEVICES_MAX)
  range('multiprocessors', 1, MULTIPROCESSORS_MAX)
  range('numaNodes', 1, NUMA_NODES_MAX)
  range('nvlinks', 0, NVLINKS_MAX)
  check(
    typeof model === 'string' && model.length <= MODEL_LENGTH_MAX && /^\S(?:.*\S)?$/.test(model),
    `model must be 1 to ${MODEL_LENGTH_MAX} characters on one line`,
  )
  range('memoryMiB', 1, GPU_MEMORY_MIB_MAX)
  check(TOPOLOGIES.includes(topology), `topology must be one of ${TOPOLOGIES.join(', ')}`)
  if (topology === 'cube-mesh')
    check(count <= CUBE_MESH_COUNT, `count must be at most ${CUBE_MESH_COUNT} in a cube-mesh`)
  return machine
}

const MACHINE_FIELDS = ['count', 'model', 'memoryMiB', 'multiprocessors', 'numaNodes', 'topology', 'nvlinks'] as const

function definedOf(
  value: Record<string, unknown>,
): Partial<Record<keyof MachineShape, unknown>> & { topology?: Topology } {
  return Object.fromEntries(
    MACHINE_FIELDS.flatMap((key) => (value[key] === undefined ? [] : [[key, value[key]] as const])),
  )
}

function isLinks(value: unknown, count: number): boolean {
  const isRow = (row: unknown): boolean =>
    isListOf(row, (link) => isCount(link, { min: 0, max: LINK_MAX })) && (row as unknown[]).length === count
  if (!isListOf(value, isRow) || (value as unknown[]).length !== count) return false
  const links = value as number[][]
  return links.every((row, i) => row.every((link, j) => link === links[j]![i]))
}

function isListOf(value: unknown, isRight: (each: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isRight)
}

function isCount(value: unknown, { min, max }: { readonly min: number; readonly max: number }): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
