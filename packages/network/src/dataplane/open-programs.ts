import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BpfMap, readMapInfo } from '../kernel/bpf-map.ts'
import { loadObject, type BpfObject } from '../kernel/bpf-object.ts'
import { closeFd, openPinned, pinObject } from '../kernel/bpf-syscall.ts'
import { DataplaneError } from '../kernel/dataplane-error.ts'

/** Programs, each in an object file of its name. */
export const PROGRAM_NAMES = [
  'from_pod',
  'from_host',
  'from_loopback',
  'from_uplink',
  'from_uplink_xdp',
  'to_uplink',
] as const
export type ProgramName = (typeof PROGRAM_NAMES)[number]

export interface OpenProgramsOptions {
  /** Folder of objects, from `buildPrograms`. */
  readonly folder: string
  /** On a bpffs: maps that are pinned there are used again, others are pinned. Undefined: nothing outlives the process. */
  readonly pinDir?: string
  /** Tables of another version, by name: those whose records are the same are used instead of new ones. */
  readonly shared?: ReadonlyMap<string, number>
  /** Sizes that differ from those in bpf/maps.h. */
  readonly maxEntries?: ReadonlyMap<string, number>
}

/** Programs in the kernel and the tables that they share. */
export interface OpenPrograms {
  /** Whether tables with content were there before. */
  readonly areAdopted: boolean
  programFd(name: ProgramName): number
  /** Throws `DataplaneError` when no program declares it. */
  map(name: string): BpfMap
  close(): void
}

/** Loads every object; all use the same maps. */
export function openPrograms(options: OpenProgramsOptions): OpenPrograms {
  const pinned = options.pinDir === undefined ? new Map<string, number>() : openPins(options.pinDir)
  const objects: BpfObject[] = []
  const close = (): void => {
    for (const object of objects) object.close()
  }
  try {
    const shared = new Map([...(options.shared ?? []), ...pinned])
    for (const name of PROGRAM_NAMES) {
      const object = loadObject(join(options.folder, `${name}.o`), {
        maps: shared,
        ...(options.maxEntries === undefined ? {} : { maxEntries: options.maxEntries }),
      })
      objects.push(object)
      for (const [map, fd] of object.maps) if (isShared(map)) shared.set(map, fd)
    }
    if (options.pinDir !== undefined) pinMaps(shared, { pinned, pinDir: options.pinDir })
    return describe(objects, { shared, areAdopted: pinned.size > 0, close })
  } catch (error) {
    close()
    throw error
  } finally {
    for (const fd of pinned.values()) closeFd(fd)
  }
}

function describe(
  objects: readonly BpfObject[],
  facts: { shared: ReadonlyMap<string, number>; areAdopted: boolean; close: () => void },
): OpenPrograms {
  const cpus = countPossibleCpus()
  const maps = new Map([...facts.shared].map(([name, fd]) => [name, new BpfMap(name, fd, cpus)]))
  const programs = new Map(objects.flatMap((object) => [...object.programs]))
  return {
    areAdopted: facts.areAdopted,
    programFd: (name) => programs.get(name)!,
    map(name) {
      const map = maps.get(name)
      if (map === undefined) throw new DataplaneError(`No program declares a map ${name}`)
      return map
    },
    close: facts.close,
  }
}

/** Sections of constants are each object's own. */
function isShared(map: string): boolean {
  return !map.includes('.') || map.startsWith('.data.')
}

/** A bpffs allows no dots in names. */
function pinName(map: string): string {
  return map.replaceAll('.', '-')
}

export function mapNameOf(pin: string): string {
  return pin.replaceAll('-', '.')
}

function openPins(pinDir: string): Map<string, number> {
  mkdirSync(pinDir, { recursive: true })
  return new Map(readdirSync(pinDir).map((pin) => [mapNameOf(pin), openPinned(join(pinDir, pin))!]))
}

function pinMaps(maps: ReadonlyMap<string, number>, to: { pinned: ReadonlyMap<string, number>; pinDir: string }): void {
  for (const [name, fd] of maps) {
    const pinned = to.pinned.get(name)
    if (pinned !== undefined && readMapInfo(pinned).id === readMapInfo(fd).id) continue
    const path = join(to.pinDir, pinName(name))
    rmSync(path, { force: true }) // one of another shape, which no program uses any more
    pinObject(fd, path)
  }
}

/** As per-CPU maps count them. Source: Documentation/ABI/testing/sysfs-devices-system-cpu. */
export function countPossibleCpus(): number {
  const text = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim()
  return Number(text.split(/[-,]/).at(-1)) + 1
}
