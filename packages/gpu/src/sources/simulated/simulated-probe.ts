import { createHash } from 'node:crypto'
import { GPU_DEVICES_MAX, GPU_LINKS } from '@centaurus/api/gpu'
import { GpuError, type DeviceProbe, type HostGpu, type HostGpus } from '../device-source.ts'
import { isNodeOf, type SimulatedPool } from './parse-pools.ts'
import { openPoolsFile } from './pools-file.ts'
import { linkOf, numaOf } from './presets.ts'

/** In place of a driver's version, wherever one is shown. */
export const SIMULATED_VERSION = 'simulated'

/** The GPUs that a file gives to a node; the file is read again when it changes. */
export function createSimulatedProbe({
  file,
  nodeName,
}: {
  readonly file: string
  readonly nodeName: string
}): DeviceProbe {
  const pools = openPoolsFile(file)
  return {
    kind: 'simulated',
    look: async () => simulateGpus(pools.read(), nodeName),
    readUse: async () => [],
    close: async () => {},
  }
}

/** The GPUs that a node has by these pools, in their order. Throws {@link GpuError} when they are too many. */
export function simulateGpus(pools: readonly SimulatedPool[], nodeName: string): HostGpus {
  const places = pools
    .filter((pool) => isNodeOf(pool, nodeName))
    .flatMap((pool) => Array.from({ length: pool.count }, (_, place) => ({ pool, place })))
  if (places.length > GPU_DEVICES_MAX)
    throw new GpuError(`node ${nodeName} would have ${places.length} GPUs; ${GPU_DEVICES_MAX} are the most`)
  const devices = places.map(({ pool, place }, index): HostGpu => ({
    uuid: uuidOf([nodeName, pool.name, String(place)]),
    index,
    model: pool.model,
    memoryMiB: pool.memoryMiB,
    multiprocessors: pool.multiprocessors,
    numa: numaOf(pool, place),
    problem: pool.unhealthy.includes(place) ? 'The simulation says so' : undefined,
    files: [],
  }))
  const links = places.map((one, i) => places.map((other, j) => (i === j ? 0 : linkBetween(one, other))))
  return { devices, links, driverVersion: SIMULATED_VERSION, commonFiles: [] }
}

interface Place {
  readonly pool: SimulatedPool
  readonly place: number
}

function linkBetween(one: Place, other: Place): number {
  if (one.pool === other.pool)
    return one.pool.links?.[one.place]?.[other.place] ?? linkOf(one.pool, one.place, other.place)
  return numaOf(one.pool, one.place) === numaOf(other.pool, other.place) ? GPU_LINKS.sameNuma : GPU_LINKS.otherNuma
}

/** The same for the same place, always; unlike that of any other node's. */
function uuidOf(place: readonly string[]): string {
  const hex = createHash('sha256').update(place.join('\n')).digest('hex')
  const lengths = [8, 4, 4, 4, 12]
  let from = 0
  return `GPU-${lengths.map((length) => hex.slice(from, (from += length))).join('-')}`
}
