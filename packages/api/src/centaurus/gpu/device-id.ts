/** Names of devices, and of parts of them. */

/** GPUs of one node. */
export const GPU_DEVICES_MAX = 64
/** MiB of one GPU: 16 TiB. */
export const GPU_MEMORY_MIB_MAX = 16 * 2 ** 20
/** Percent of one GPU's time: all of it. */
export const GPU_COMPUTE_MAX = 100

/** What a container has of one device; with neither memory nor compute it is the whole device. */
export interface GpuGrant {
  readonly uuid: string
  /** MiB; absent beside `compute`: not limited. */
  readonly memoryMiB?: number | undefined
  /** Percent, 1 to 100; absent beside `memoryMiB`: what nobody has reserved. */
  readonly compute?: number | undefined
}

const SEPARATOR = '::'
const UUID_SHAPE = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/
const NUMBER_SHAPE = /^[1-9][0-9]{0,8}$/

/** Whether a text can name a device: neither "::", nor "," nor spaces, of which lists of devices are made. */
export function isGpuUuid(text: unknown): text is string {
  return typeof text === 'string' && UUID_SHAPE.test(text)
}

export function isGpuMemory(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= GPU_MEMORY_MIB_MAX
}

export function isGpuCompute(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= GPU_COMPUTE_MAX
}

/** Whether nobody else may have any of the device. */
export function isWholeGpu({ memoryMiB, compute }: GpuGrant): boolean {
  return memoryMiB === undefined && compute === undefined
}

/** The device id that a device plugin is asked for: the uuid of a whole GPU, `UUID::memoryMiB::compute` of a share, a part that is not limited being empty. */
export function formatGpuDeviceId(grant: GpuGrant): string {
  const { uuid, memoryMiB = '', compute = '' } = grant
  return isWholeGpu(grant) ? uuid : [uuid, memoryMiB, compute].join(SEPARATOR)
}

/** Reads what {@link formatGpuDeviceId} wrote. Throws `SyntaxError` for anything else. */
export function parseGpuDeviceId(id: string): GpuGrant {
  const parts = id.split(SEPARATOR)
  const [uuid, memory, compute] = parts
  if (!isGpuUuid(uuid)) throw badId(id, 'must begin with the uuid of a GPU')
  if (parts.length === 1) return { uuid }
  if (parts.length !== 3) throw badId(id, 'must be UUID or UUID::memoryMiB::compute')
  const memoryMiB = partOf(memory!)
  const percent = partOf(compute!)
  if (memoryMiB === undefined && percent === undefined) throw badId(id, 'limits nothing: a whole GPU is its uuid')
  if (memoryMiB !== undefined && !isGpuMemory(memoryMiB)) throw badId(id, 'has no number of MiB as its second part')
  if (percent !== undefined && !isGpuCompute(percent)) throw badId(id, 'has no percentage as its third part')
  return {
    uuid,
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(percent === undefined ? {} : { compute: percent }),
  }
}

function partOf(text: string): number | undefined {
  if (text === '') return undefined
  return NUMBER_SHAPE.test(text) ? Number(text) : Number.NaN
}

function badId(id: string, why: string): SyntaxError {
  return new SyntaxError(`GPU device id ${JSON.stringify(id.slice(0, 200))} ${why}`)
}
