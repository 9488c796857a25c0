/** What a container with parts of GPUs may use, in the words that the interposer reads (docs/plans/gpu.md). Pure. */
import { createHash } from 'node:crypto'
import { isWholeGpu, type GpuGrant, type GpuPriority } from '@centaurus/api/gpu'

/** What one container was given. */
export interface ContainerShare {
  readonly grants: readonly GpuGrant[]
  readonly priority: GpuPriority
}

/** What a container without a share of time may use of what others leave. */
const ALL_PERCENT = 100
const KEY_HASH_LENGTH = 8

/** Whether the interposer must hold it to something. */
export function hasLimits({ grants }: Pick<ContainerShare, 'grants'>): boolean {
  return !grants.every(isWholeGpu)
}

/** The content of `limits`: a line a device. */
export function formatLimits({ grants, priority }: ContainerShare): string {
  const lines = grants.map(({ uuid, memoryMiB, compute }) => {
    const words = [
      uuid,
      ...(memoryMiB === undefined ? [] : [`memoryMiB=${memoryMiB}`]),
      ...(compute === undefined ? [] : [`compute=${compute}`]),
      ...(priority === 0 ? [] : [`priority=${priority}`]),
    ]
    return `${words.join(' ')}\n`
  })
  return lines.join('')
}

/** The name under which others on the device see what the container of `key` wants: `PRIORITY-COMPUTE-BURST-` and the same for a key always. */
export function formatDemandName({ compute }: GpuGrant, { priority }: ContainerShare, key: string): string {
  return [priority, compute ?? 0, compute ?? ALL_PERCENT, hashOf(key)].join('-')
}

/** Whether the name is one of this container's, whatever it may use. */
export function isDemandNameOf(key: string, name: string): boolean {
  return name.endsWith(`-${hashOf(key)}`)
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, KEY_HASH_LENGTH)
}
