/** How long a resource stays in the node's capacity whose plugin is away. Source: kubelet endpointStopGracePeriod, v1.37. */
export const PLUGIN_GRACE_MS = 300_000

export interface Device {
  readonly id: string
  readonly healthy: boolean
  /** NUMA nodes that it is near to; empty: unknown. */
  readonly numaNodes: readonly number[]
}

/** `expected`: an agent before this one had it. `connected`: its plugin is here and has told of no devices yet. */
type PluginState =
  | { readonly type: 'expected' | 'away'; readonly sinceMs: number }
  | { readonly type: 'connected' | 'reporting' }

interface Resource {
  readonly plugin: PluginState
  readonly devices: ReadonlyMap<string, Device>
}

/** Counts of devices by resource name. */
export interface DeviceCapacity {
  readonly capacity: ReadonlyMap<string, number>
  /** Those that pods can have: healthy, of a plugin that is here. */
  readonly allocatable: ReadonlyMap<string, number>
}

const NO_DEVICES: ReadonlyMap<string, Device> = new Map()

/**
 * What plugins have told of their devices. No I/O: times come in as milliseconds of one monotonic clock. A resource that was ever known stays,
 * with none of anything after {@link PLUGIN_GRACE_MS} without its plugin: so the node says that it had it. Source: kubelet ManagerImpl, v1.37.
 */
export class DeviceInventory {
  readonly #resources = new Map<string, Resource>()

  /** A resource of the agent before this one. */
  expect(resource: string, sinceMs: number): void {
    this.#resources.set(resource, { plugin: { type: 'expected', sinceMs }, devices: NO_DEVICES })
  }

  /** Its plugin is here; devices of before are not healthy until it says so. */
  connect(resource: string): void {
    const { devices } = this.#resources.get(resource) ?? { devices: NO_DEVICES }
    this.#resources.set(resource, { plugin: { type: 'connected' }, devices })
  }

  /** The whole list of devices. Returns the ids whose health is another, or that are new. */
  report(resource: string, devices: readonly Device[]): string[] {
    const before = this.#resources.get(resource)
    const wasReporting = before?.plugin.type === 'reporting'
    this.#resources.set(resource, {
      plugin: { type: 'reporting' },
      devices: new Map(devices.map((device) => [device.id, device])),
    })
    const isChanged = ({ id, healthy }: Device): boolean => !wasReporting || before.devices.get(id)?.healthy !== healthy
    const reported = new Set(devices.map(({ id }) => id))
    const gone = [...(before?.devices.keys() ?? [])].filter((id) => !reported.has(id))
    return [...devices.filter(isChanged).map(({ id }) => id), ...gone]
  }

  /** Its last plugin went. Returns the ids that it had. */
  lose(resource: string, nowMs: number): string[] {
    const { devices } = this.#resources.get(resource) ?? { devices: NO_DEVICES }
    this.#resources.set(resource, { plugin: { type: 'away', sinceMs: nowMs }, devices })
    return [...devices.keys()]
  }

  /** Whether a plugin has, or had, this resource. */
  has(resource: string): boolean {
    return this.#resources.has(resource)
  }

  /** Whether the agent before this one had it and its plugin has not come back yet. */
  isExpected(resource: string): boolean {
    return this.#resources.get(resource)?.plugin.type === 'expected'
  }

  /** Undefined: no plugin tells of such a device at the moment. */
  find(resource: string, id: string): Device | undefined {
    const known = this.#resources.get(resource)
    return known?.plugin.type === 'reporting' ? known.devices.get(id) : undefined
  }

  /** Devices that can be given, by id. */
  healthy(resource: string): ReadonlyMap<string, Device> {
    const known = this.#resources.get(resource)
    if (known?.plugin.type !== 'reporting') return NO_DEVICES
    return new Map([...known.devices].filter(([, { healthy }]) => healthy))
  }

  /** Names, with the ids of their healthy devices, of what is not gone for good. */
  registered(nowMs: number): ReadonlyMap<string, readonly string[]> {
    const names = [...this.#resources].filter(([, { plugin }]) => !isOver(plugin, nowMs)).map(([name]) => name)
    return new Map(names.map((name) => [name, [...this.healthy(name).keys()]]))
  }

  count(nowMs: number): DeviceCapacity {
    const capacity = new Map<string, number>()
    const allocatable = new Map<string, number>()
    for (const [name, { plugin, devices }] of this.#resources) {
      capacity.set(name, isOver(plugin, nowMs) ? 0 : devices.size)
      allocatable.set(name, this.healthy(name).size)
    }
    return { capacity, allocatable }
  }
}

function isOver(plugin: PluginState, nowMs: number): boolean {
  return 'sinceMs' in plugin && nowMs - plugin.sinceMs > PLUGIN_GRACE_MS
}
