import { GPU_LINKS } from '@centaurus/api/gpu'
import type { HostGpus } from '../device-source.ts'

/** Devices that the stub driver knows at most. Source: cuda/stub/world.h. */
const STUB_DEVICES_MAX = 16

/** These GPUs in the words in which the stub driver reads them, a line each; those that it has no room for are left out. Pure. */
export function formatStubDevices({ devices, links = [] }: HostGpus): string {
  const known = devices.slice(0, STUB_DEVICES_MAX)
  const lines = known.map(({ uuid, model, memoryMiB, multiprocessors, numa }, i) => {
    const row = known.map((_, j) => links[i]?.[j] ?? 0)
    const words = [
      uuid,
      `memoryMiB=${memoryMiB}`,
      `model=${model.replaceAll(/\s/g, '_')}`,
      ...(multiprocessors === undefined ? [] : [`multiprocessors=${multiprocessors}`]),
      ...(numa === undefined ? [] : [`numa=${numa}`]),
      `nvlinks=${row.map((link) => Math.max(0, link - GPU_LINKS.nvlink)).join(',')}`,
      `levels=${row.map((link) => Math.max(0, GPU_LINKS.nvlink - link)).join(',')}`,
    ]
    return `${words.join(' ')}\n`
  })
  return lines.join('')
}
