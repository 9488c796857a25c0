import type { DeviceProbe, GpuUse, HostGpus } from '../device-source.ts'
import { readDevices, readDeviceUse, readLoss, type HostFolders, type NvmlHandle } from './nvml-devices.ts'
import { openEvents, type NvmlEvents } from './nvml-events.ts'
import { loadNvml, NvmlError, type NvmlLibrary } from './nvml-library.ts'

export interface NvmlProbeOptions {
  /** Path of the library; default: the one that the dynamic loader finds. */
  readonly library?: string | undefined
  readonly folders?: HostFolders | undefined
}

const HOST_FOLDERS: HostFolders = { sys: '/sys', dev: '/dev' }

/** NVIDIA's GPUs of this host. Throws `GpuError` when it has no driver. */
export function createNvmlProbe({ library, folders = HOST_FOLDERS }: NvmlProbeOptions = {}): DeviceProbe {
  return new NvmlProbe(loadNvml(library), folders)
}

/** The driver while it works: addresses of devices are good until it is shut down. */
interface Session {
  readonly gpus: HostGpus
  readonly handles: readonly NvmlHandle[]
  readonly events: NvmlEvents | undefined
}

class NvmlProbe implements DeviceProbe {
  readonly kind = 'nvidia'
  readonly #nvml: NvmlLibrary
  readonly #folders: HostFolders
  #session: Session | undefined
  /** As they were known last. */
  #known: HostGpus | undefined
  /** What events told, by uuid; a GPU that was lost and came back was reset, and has none. */
  readonly #told = new Map<string, string>()

  constructor(nvml: NvmlLibrary, folders: HostFolders) {
    this.#nvml = nvml
    this.#folders = folders
  }

  async look(): Promise<HostGpus> {
    const losses = new Map<string, string>()
    try {
      this.#session ??= await this.#begin()
      await this.#hear(this.#session)
      for (const [i, handle] of this.#session.handles.entries()) {
        const loss = await readLoss(this.#nvml, handle)
        if (loss !== undefined) losses.set(this.#session.gpus.devices[i]!.uuid, loss)
      }
    } catch (error) {
      if (!(error instanceof NvmlError) || this.#known === undefined) throw error
      for (const { uuid } of this.#known.devices) losses.set(uuid, `The driver does not answer: ${error.message}`)
    }
    if (losses.size > 0) await this.#end() // lost devices are found again after a new beginning only
    for (const uuid of losses.keys()) this.#told.delete(uuid)
    const { devices, ...rest } = this.#session?.gpus ?? this.#known!
    const judged = devices.map((device) => {
      const problem = losses.get(device.uuid) ?? this.#told.get(device.uuid) ?? device.problem
      return { ...device, problem }
    })
    return { ...rest, devices: judged }
  }

  async readUse(): Promise<GpuUse[]> {
    const session = this.#session
    if (session === undefined) return []
    const uses: GpuUse[] = []
    for (const [i, { uuid }] of session.gpus.devices.entries())
      uses.push(await readDeviceUse(this.#nvml, uuid, session.handles[i]!))
    return uses
  }

  async close(): Promise<void> {
    await this.#end()
  }

  async #begin(): Promise<Session> {
    await this.#nvml.must('nvmlInit_v2')
    try {
      const { gpus, handles } = await readDevices(this.#nvml, this.#folders)
      this.#known = gpus
      return { gpus, handles, events: await openEvents(this.#nvml, handles) }
    } catch (error) {
      await this.#nvml.call('nvmlShutdown')
      throw error
    }
  }

  async #end(): Promise<void> {
    if (this.#session === undefined) return
    await this.#session.events?.close()
    await this.#nvml.call('nvmlShutdown')
    this.#session = undefined
  }

  async #hear({ gpus, handles, events }: Session): Promise<void> {
    for (const [handle, problem] of (await events?.take()) ?? []) {
      for (const [i, { uuid }] of gpus.devices.entries())
        if (handle === undefined || handles[i] === handle) this.#told.set(uuid, problem)
    }
  }
}
