import { isRecord } from '../../meta/values.ts'
import { GPU_DEVICES_MAX, GPU_MEMORY_MIB_MAX, isGpuMemory, isGpuUuid } from './device-id.ts'

/** One GPU of a node. */
export interface GpuDevice {
  readonly uuid: string
  /** As the driver counts them, from 0. */
  readonly index: number
  /** As the driver names it, such as `NVIDIA A100-SXM4-40GB`. */
  readonly model: string
  readonly memoryMiB: number
  /** Streaming multiprocessors; absent: unknown. */
  readonly multiprocessors?: number | undefined
  /** NUMA node; absent: unknown, or there is one alone. */
  readonly numa?: number | undefined
  readonly healthy: boolean
}

/** The GPUs of a node, as its plugin found them. */
export interface GpuInventory {
  readonly devices: readonly GpuDevice[]
  /** `links[i][j]`: how near devices `i` and `j` of `devices` are, by {@link GPU_LINKS}; absent: unknown. The diagonal means nothing. */
  readonly links?: readonly (readonly number[])[] | undefined
}

/** How near two GPUs are: more is nearer. Source: the legend of `nvidia-smi topo -m` (SYS < NODE < PHB < PXB < PIX < NV#). */
export const GPU_LINKS = {
  otherNuma: 0,
  sameNuma: 10,
  sameHostBridge: 20,
  severalSwitches: 30,
  oneSwitch: 40,
  /** And one more for each link. */
  nvlink: 50,
} as const

const MODEL_LENGTH_MAX = 128
const LINK_MAX = 1_000
const INDEX_MAX = 4_096

/** The text of the annotation of a Node. */
export function formatGpuInventory({ devices, links }: GpuInventory): string {
  return JSON.stringify({ devices, ...(links === undefined ? {} : { links }) })
}

/** Reads the annotation of a Node. Fields that it does not know are left out. Throws `SyntaxError` that says which device is wrong, and how. */
export function parseGpuInventory(text: string): GpuInventory {
  const value = parseJson(text)
  if (!isRecord(value) || !Array.isArray(value['devices'])) throw bad('must be an object with a list `devices`')
  const list: readonly unknown[] = value['devices']
  if (list.length > GPU_DEVICES_MAX) throw bad(`has ${list.length} devices; ${GPU_DEVICES_MAX} are the most`)
  const devices = list.map(parseDevice)
  for (const key of ['uuid', 'index'] as const) {
    if (new Set(devices.map((device) => device[key])).size < devices.length)
      throw bad(`has two devices of the same ${key}`)
  }
  const links = parseLinks(value['links'], devices.length)
  return links === undefined ? { devices } : { devices, links }
}

function parseDevice(value: unknown, i: number): GpuDevice {
  const check = (isRight: boolean, rule: string): void => {
    if (!isRight) throw bad(`: devices[${i}].${rule}`)
  }
  if (!isRecord(value)) throw bad(`: devices[${i}] must be an object`)
  const { uuid, index, model, memoryMiB, multiprocessors, numa, healthy } = value
  check(isGpuUuid(uuid), 'uuid must be 1 to 128 letters, digits, ".", "_", "/" or "-"')
  check(isCount(index, INDEX_MAX), `index must be a number from 0 to ${INDEX_MAX}`)
  check(isModel(model), `model must be 1 to ${MODEL_LENGTH_MAX} characters on one line`)
  check(isGpuMemory(memoryMiB), `memoryMiB must be a number from 1 to ${GPU_MEMORY_MIB_MAX}`)
  check(multiprocessors === undefined || isCount(multiprocessors, 1e6), 'multiprocessors must be a number')
  check(numa === undefined || isCount(numa, INDEX_MAX), `numa must be a number from 0 to ${INDEX_MAX}`)
  check(typeof healthy === 'boolean', 'healthy must be true or false')
  return {
    uuid: uuid as string,
    index: index as number,
    model: model as string,
    memoryMiB: memoryMiB as number,
    ...(multiprocessors === undefined ? {} : { multiprocessors: multiprocessors as number }),
    ...(numa === undefined ? {} : { numa: numa as number }),
    healthy: healthy as boolean,
  }
}

function parseLinks(value: unknown, count: number): number[][] | undefined {
  if (value === undefined) return undefined
  const isSquare =
    Array.isArray(value) &&
    value.length === count &&
    value.every((row) => Array.isArray(row) && row.length === count && row.every((link) => isCount(link, LINK_MAX)))
  if (!isSquare) throw bad(`: links must be ${count} lists of ${count} numbers from 0 to ${LINK_MAX}`)
  const links = value as number[][]
  const isSymmetric = links.every((row, i) => row.every((link, j) => link === links[j]![i]))
  if (!isSymmetric) throw bad(': links[i][j] must be links[j][i]')
  return links
}

function isCount(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
}

function isModel(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MODEL_LENGTH_MAX && /^\S(?:.*\S)?$/.test(value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw bad('must be JSON')
  }
}

function bad(why: string): SyntaxError {
  return new SyntaxError(`the inventory of GPUs${why.startsWith(':') ? '' : ' '}${why}`)
}
