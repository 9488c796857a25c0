/** What a container did with a device between two looks at its region. Pure. */
import type { ProcessUsage, Usage } from './usage-region.ts'

/** Of one device. */
export interface UseSample {
  readonly seconds: number
  /** Of the device's time, in percent. */
  readonly percent: number
  readonly memoryBytes: number
  readonly launches: number
  /** Percent of the time in which it was held back, summed over threads. */
  readonly waitedPercent: number
  /** Allocations that its limit refused. */
  readonly refused: number
  /** Milliseconds of the device that it may use at once; negative: owed. */
  readonly tokensMs: number
}

const NS_PER_SECOND = 1e9
const NS_PER_MS = 1e6
/** Nobody launches as fast; whoever says so wrote nonsense. */
const LAUNCHES_PER_SECOND_MAX = 1e8

/** By uuid; devices that were not there before are left out, as is all of a region that began anew. */
export function measureUse(before: Usage, now: Usage, seconds: number): Map<string, UseSample> {
  const samples = new Map<string, UseSample>()
  for (const [i, device] of now.devices.entries()) {
    const earlier = before.devices.findIndex(({ uuid }) => uuid === device.uuid)
    const then = before.devices[earlier]
    if (then === undefined || seconds <= 0) continue
    const percentOf = (ns: number): number => (Math.max(0, ns) / NS_PER_SECOND / seconds) * 100
    samples.set(device.uuid, {
      seconds,
      percent: Math.min(100, percentOf(device.chargedNs - then.chargedNs)),
      memoryBytes: now.processes.reduce((sum, process) => sum + process.devices[i]!.memoryBytes, 0),
      launches: Math.min(seconds * LAUNCHES_PER_SECOND_MAX, countLaunches(before, now, { earlier, i })),
      waitedPercent: percentOf(device.waitedNs - then.waitedNs),
      refused: Math.max(0, device.refused - then.refused),
      tokensMs: device.tokensNs / NS_PER_MS,
    })
  }
  return samples
}

/** A process takes its count along when it dies. */
function countLaunches(
  before: Usage,
  now: Usage,
  { earlier, i }: { readonly earlier: number; readonly i: number },
): number {
  const known = new Map(before.processes.map((process) => [identify(process), process.devices[earlier]!.launches]))
  const grown = now.processes.map((process) => {
    const { launches } = process.devices[i]!
    return Math.max(0, launches - (known.get(identify(process)) ?? 0))
  })
  return grown.reduce((sum, each) => sum + each, 0)
}

function identify({ pid, startTicks }: ProcessUsage): string {
  return `${pid} ${startTicks}`
}
