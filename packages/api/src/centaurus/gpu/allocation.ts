import { isRecord } from '../../meta/values.ts'
import { GPU_DEVICES_MAX, isGpuCompute, isGpuMemory, isGpuUuid, type GpuGrant } from './device-id.ts'

/** Which devices the containers of a pod were given, by container name. Containers without any are not in it. */
export type GpuAllocation = Readonly<Record<string, readonly GpuGrant[]>>

const CONTAINERS_MAX = 1_000

/** The text of the annotation of a Pod. */
export function formatGpuAllocation(allocation: GpuAllocation): string {
  const plain = ({ uuid, memoryMiB, compute }: GpuGrant): GpuGrant => ({ uuid, memoryMiB, compute })
  return JSON.stringify(
    Object.fromEntries(Object.entries(allocation).map(([name, grants]) => [name, grants.map(plain)])),
  )
}

/** Reads the annotation of a Pod. Throws `SyntaxError` that says what is wrong. */
export function parseGpuAllocation(text: string): GpuAllocation {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw bad('must be JSON')
  }
  return checkGpuAllocation(value)
}

/** The same of JSON that was parsed already. */
export function checkGpuAllocation(value: unknown): GpuAllocation {
  if (!isRecord(value)) throw bad('must be an object by container name')
  const entries = Object.entries(value)
  if (entries.length > CONTAINERS_MAX) throw bad(`names ${entries.length} containers; ${CONTAINERS_MAX} are the most`)
  return Object.fromEntries(entries.map(([name, grants]) => [name, checkGrants(name, grants)]))
}

function checkGrants(name: string, value: unknown): GpuGrant[] {
  const where = JSON.stringify(name.slice(0, 64))
  if (!Array.isArray(value) || value.length === 0 || value.length > GPU_DEVICES_MAX)
    throw bad(`must have a list of 1 to ${GPU_DEVICES_MAX} devices for container ${where}`)
  const grants = value.map((grant) => checkGrant(where, grant))
  if (new Set(grants.map(({ uuid }) => uuid)).size < grants.length)
    throw bad(`names a device twice for container ${where}`)
  return grants
}

function checkGrant(where: string, value: unknown): GpuGrant {
  if (!isRecord(value)) throw bad(`must have objects as devices of container ${where}`)
  const { uuid, memoryMiB, compute } = value
  if (!isGpuUuid(uuid)) throw bad(`has a device without a right uuid for container ${where}`)
  if (memoryMiB !== undefined && !isGpuMemory(memoryMiB)) throw bad(`has a wrong memoryMiB for container ${where}`)
  if (compute !== undefined && !isGpuCompute(compute)) throw bad(`has a wrong compute for container ${where}`)
  return {
    uuid,
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(compute === undefined ? {} : { compute }),
  }
}

function bad(why: string): SyntaxError {
  return new SyntaxError(`the allocation of GPUs ${why}`)
}
