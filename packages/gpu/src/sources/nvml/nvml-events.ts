/** Xid errors: what the driver tells of a GPU that went wrong. */
import type { NvmlHandle } from './nvml-devices.ts'
import { NVML_SUCCESS, type NvmlLibrary } from './nvml-library.ts'

/** nvmlEventTypeXidCriticalError, nvmlEventTypeDoubleBitEccError. Source: nvml.h 12. */
const XID_ERROR = 8n
const DOUBLE_BIT_ECC = 2n
/** `nvmlEventData_t`. */
const EVENT_BYTES = 32
/** Events that one look takes; the others wait for the next. */
const EVENTS_MAX = 64

/** Xids that say what a program did wrong, and nothing of the GPU. Source: NVIDIA k8s-device-plugin internal/rm/health.go. */
const XIDS_OF_PROGRAMS = new Set([13, 31, 43, 45, 68, 109])

/** Events of all devices since it was made. */
export interface NvmlEvents {
  /** What went wrong since the last call, by handle. Events of no known device are under `undefined`, and concern them all. */
  take(): Promise<Map<NvmlHandle | undefined, string>>
  close(): Promise<void>
}

/** Undefined when this driver tells of no events. */
export async function openEvents(nvml: NvmlLibrary, handles: readonly NvmlHandle[]): Promise<NvmlEvents | undefined> {
  const set = new BigUint64Array(1)
  if ((await nvml.call('nvmlEventSetCreate', new Uint8Array(set.buffer))) !== NVML_SUCCESS) return undefined
  for (const handle of handles) {
    const supported = new BigUint64Array(1)
    await nvml.call('nvmlDeviceGetSupportedEventTypes', handle, new Uint8Array(supported.buffer))
    // a device without them is looked at all the same
    await nvml.call('nvmlDeviceRegisterEvents', handle, supported[0]! & (XID_ERROR | DOUBLE_BIT_ECC), set[0]!)
  }
  return {
    async take() {
      const problems = new Map<NvmlHandle | undefined, string>()
      const event = new DataView(new ArrayBuffer(EVENT_BYTES))
      for (let i = 0; i < EVENTS_MAX; i++) {
        const code = await nvml.call('nvmlEventSetWait_v2', set[0]!, new Uint8Array(event.buffer), 0)
        if (code !== NVML_SUCCESS) break // none is left
        const handle = event.getBigUint64(0, true)
        const problem = describeEvent(event.getBigUint64(8, true), event.getBigUint64(16, true))
        if (problem !== undefined) problems.set(handles.includes(handle) ? handle : undefined, problem)
      }
      return problems
    },
    async close() {
      await nvml.call('nvmlEventSetFree', set[0]!)
    },
  }
}

/** Undefined: the GPU is as good as before. */
function describeEvent(type: bigint, data: bigint): string | undefined {
  if (type === DOUBLE_BIT_ECC) return 'The driver told of a memory error that it could not correct'
  if (type !== XID_ERROR || XIDS_OF_PROGRAMS.has(Number(data))) return undefined
  return `The driver told of Xid ${data}: see dmesg, and NVIDIA's list of Xid errors; reset the GPU, then restart the plugin`
}
