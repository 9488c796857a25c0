/** Names of the Container Device Interface, by which a container runtime knows GPUs and all that goes with them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import type { HostGpus } from '../sources/device-source.ts'

/** Where specifications are. Source: CDI specification 0.8. */
export const CDI_DIRS: readonly string[] = ['/etc/cdi', '/var/run/cdi']
/** As `nvidia-ctk cdi generate` writes it. */
const KIND = 'nvidia.com/gpu'

/** Names of those GPUs that a specification describes, by uuid. What can't be read describes none. */
export function readCdiNames({ devices }: HostGpus, dirs: readonly string[] = CDI_DIRS): Map<string, string> {
  const described = new Set(dirs.flatMap((dir) => specFiles(dir).flatMap(readDeviceNames)))
  const names = new Map<string, string>()
  for (const { uuid, index } of devices) {
    const name = [uuid, String(index)].find((each) => described.has(each))
    if (name !== undefined) names.set(uuid, `${KIND}=${name}`)
  }
  return names
}

function specFiles(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => /\.(json|yaml)$/.test(name))
      .map((name) => join(dir, name))
  } catch {
    return [] // most hosts have none
  }
}

function readDeviceNames(file: string): string[] {
  try {
    const spec = load(readFileSync(file, 'utf8')) as { kind?: unknown; devices?: unknown } | undefined
    if (spec?.kind !== KIND || !Array.isArray(spec.devices)) return []
    return spec.devices.flatMap((device: { name?: unknown }) => (typeof device?.name === 'string' ? [device.name] : []))
  } catch {
    return [] // the runtime does not read it either
  }
}
