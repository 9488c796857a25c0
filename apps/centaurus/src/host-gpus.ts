import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { localNodeName } from './node-identity.ts'
import type { Settings } from './settings.ts'
import { UserError } from './user-error.ts'

/** In place of a file: none are simulated any more. */
const NONE = 'none'
/** Where NVIDIA's driver shows that it is loaded. */
const DRIVER_FILES = ['/proc/driver/nvidia/version', '/dev/nvidiactl']

/** Another library that speaks NVML, by its path, in place of the driver's: that of a stub, or of a driver in a place of its own. */
const NVML_VARIABLE = 'CENTAURUS_NVML'

/** Undefined: the driver's, where the dynamic loader finds it. */
export function namedNvml(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = env[NVML_VARIABLE] ?? ''
  return named === '' ? undefined : named
}

/** Whether a home's local node has GPUs, real ones or simulated. */
export function hasGpus({ nodes, simulatedGpus }: Pick<Settings, 'nodes' | 'simulatedGpus'>): boolean {
  return (
    nodes.type === 'local' &&
    (simulatedGpus !== undefined || namedNvml() !== undefined || DRIVER_FILES.some((file) => existsSync(file)))
  )
}

/** The absolute path of a file that says which GPUs to simulate, as far as it can be read now; undefined for `none`. Rejects with {@link UserError}. */
export async function readSimulatedGpus(text: string): Promise<string | undefined> {
  if (text === NONE) return undefined
  const file = resolve(text)
  const { createSimulatedProbe } = await import('@centaurus/gpu')
  try {
    await createSimulatedProbe({ file, nodeName: localNodeName() }).look()
  } catch (cause) {
    throw new UserError(`${(cause as Error).message}\nThe file must be as docs/gpu.md says`, { cause })
  }
  return file
}
