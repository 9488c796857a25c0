/** The only door to libnvidia-ml, by koffi. Calls run on other threads, since a driver may take seconds, or hang. */
import { promisify } from 'node:util'
import koffi, { type LibraryHandle } from 'koffi'
import { GpuError } from '../device-source.ts'

/** As the driver's packages install it. */
export const NVML_FILE = 'libnvidia-ml.so.1'

/** Source: nvmlReturn_t, nvml.h 12. */
export const NVML_SUCCESS = 0
const NVML_FUNCTION_NOT_FOUND = 13

/** Source: nvml.h 12. Handles are passed as numbers, structures as bytes. */
const SIGNATURES = {
  nvmlInit_v2: 'int nvmlInit_v2()',
  nvmlShutdown: 'int nvmlShutdown()',
  nvmlSystemGetDriverVersion: 'int nvmlSystemGetDriverVersion(void *text, uint32_t length)',
  nvmlDeviceGetCount_v2: 'int nvmlDeviceGetCount_v2(void *count)',
  nvmlDeviceGetHandleByIndex_v2: 'int nvmlDeviceGetHandleByIndex_v2(uint32_t index, void *device)',
  nvmlDeviceGetUUID: 'int nvmlDeviceGetUUID(uintptr_t device, void *text, uint32_t length)',
  nvmlDeviceGetName: 'int nvmlDeviceGetName(uintptr_t device, void *text, uint32_t length)',
  nvmlDeviceGetMinorNumber: 'int nvmlDeviceGetMinorNumber(uintptr_t device, void *minor)',
  nvmlDeviceGetMemoryInfo: 'int nvmlDeviceGetMemoryInfo(uintptr_t device, void *memory)',
  nvmlDeviceGetPciInfo_v3: 'int nvmlDeviceGetPciInfo_v3(uintptr_t device, void *pci)',
  nvmlDeviceGetMigMode: 'int nvmlDeviceGetMigMode(uintptr_t device, void *current, void *pending)',
  nvmlDeviceGetNumGpuCores: 'int nvmlDeviceGetNumGpuCores(uintptr_t device, void *cores)',
  nvmlDeviceGetCudaComputeCapability:
    'int nvmlDeviceGetCudaComputeCapability(uintptr_t device, void *major, void *minor)',
  nvmlDeviceGetTopologyCommonAncestor:
    'int nvmlDeviceGetTopologyCommonAncestor(uintptr_t one, uintptr_t other, void *level)',
  nvmlDeviceGetNvLinkState: 'int nvmlDeviceGetNvLinkState(uintptr_t device, uint32_t link, void *active)',
  nvmlDeviceGetNvLinkRemoteDeviceType:
    'int nvmlDeviceGetNvLinkRemoteDeviceType(uintptr_t device, uint32_t link, void *type)',
  nvmlDeviceGetNvLinkRemotePciInfo_v2:
    'int nvmlDeviceGetNvLinkRemotePciInfo_v2(uintptr_t device, uint32_t link, void *pci)',
  nvmlDeviceGetUtilizationRates: 'int nvmlDeviceGetUtilizationRates(uintptr_t device, void *rates)',
  nvmlDeviceGetComputeRunningProcesses_v3:
    'int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, void *count, void *processes)',
  nvmlDeviceGetSupportedEventTypes: 'int nvmlDeviceGetSupportedEventTypes(uintptr_t device, void *types)',
  nvmlDeviceRegisterEvents: 'int nvmlDeviceRegisterEvents(uintptr_t device, uint64_t types, uintptr_t set)',
  nvmlEventSetCreate: 'int nvmlEventSetCreate(void *set)',
  nvmlEventSetWait_v2: 'int nvmlEventSetWait_v2(uintptr_t set, void *event, uint32_t timeoutMs)',
  nvmlEventSetFree: 'int nvmlEventSetFree(uintptr_t set)',
} as const

export type NvmlFunction = keyof typeof SIGNATURES
type NvmlArgument = number | bigint | Uint8Array

type AsyncFunction = (...values: readonly NvmlArgument[]) => Promise<number>

/** The library of a driver, as far as it has each function: older ones lack some. */
export interface NvmlLibrary {
  /** Resolves with an `nvmlReturn_t`; `functionNotFound` where the library does not have it. */
  call(name: NvmlFunction, ...values: readonly NvmlArgument[]): Promise<number>
  /** As {@link call}, for what must succeed. Rejects with {@link NvmlError}. */
  must(name: NvmlFunction, ...values: readonly NvmlArgument[]): Promise<void>
  /** In the library's words. */
  describe(code: number): string
  /** Only when no call is under way. */
  unload(): void
}

/** The library refused a call that must succeed. */
export class NvmlError extends GpuError {
  readonly code: number

  constructor(name: NvmlFunction, code: number, words: string) {
    super(`${name} failed: ${words} (nvmlReturn_t ${code})`)
    this.code = code
  }
}

/** Loads the library, by the name that the dynamic loader looks for or by a path. Throws {@link GpuError} when there is none. */
export function loadNvml(file: string = NVML_FILE): NvmlLibrary {
  let library: LibraryHandle
  try {
    library = koffi.load(file)
  } catch (cause) {
    throw new GpuError(
      `Cannot load ${file}: this host has no NVIDIA driver, or not its library (Debian: libnvidia-ml1). Install the driver, or simulate GPUs by --simulated-gpus FILE`,
      { cause },
    )
  }
  const bound = new Map<NvmlFunction, AsyncFunction | undefined>()
  const find = (name: NvmlFunction): AsyncFunction | undefined => {
    if (!bound.has(name)) bound.set(name, bind(library, name))
    return bound.get(name)
  }
  const words = library.func('const char *nvmlErrorString(int code)') as unknown as (code: number) => string
  const call = async (name: NvmlFunction, ...values: readonly NvmlArgument[]): Promise<number> =>
    (await find(name)?.(...values)) ?? NVML_FUNCTION_NOT_FOUND
  return {
    call,
    async must(name, ...values) {
      const code = await call(name, ...values)
      if (code !== NVML_SUCCESS) throw new NvmlError(name, code, words(code))
    },
    describe: (code) => words(code),
    unload: () => library.unload(),
  }
}

function bind(library: LibraryHandle, name: NvmlFunction): AsyncFunction | undefined {
  try {
    return promisify(library.func(SIGNATURES[name]).async) as AsyncFunction
  } catch {
    return undefined // this driver is older than the function
  }
}
