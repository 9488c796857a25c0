/** Messages of the device-plugin API v1beta1 and of PodResources v1 as proto-loader gives them: camel case, numbers for 64-bit integers. */

export interface PluginOptions {
  /** The plugin will be told before each start of a container. */
  readonly preStartRequired: boolean
  /** The plugin can say which devices go well together. */
  readonly getPreferredAllocationAvailable: boolean
}

export interface RegisterRequest {
  readonly version: string
  /** Name of the plugin's socket in the folder where it registers. */
  readonly endpoint: string
  readonly resourceName: string
}

export interface PluginDevice {
  readonly ID: string
  /** `Healthy`; anything else is not. */
  readonly health: string
  readonly topology: PluginTopology | null
}

export interface PluginTopology {
  readonly nodes: readonly { readonly ID: number }[]
}

/** What a container needs, to use the devices that it was given. */
export interface ContainerResponse {
  readonly envs: Readonly<Record<string, string>>
  readonly mounts: readonly { readonly containerPath: string; readonly hostPath: string; readonly readOnly: boolean }[]
  readonly devices: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly permissions: string
  }[]
  readonly annotations: Readonly<Record<string, string>>
  readonly cdiDevices: readonly { readonly name: string }[]
}

/** One device at one NUMA node, or without any. */
export interface ListedDevices {
  readonly resourceName: string
  readonly deviceIds: readonly string[]
  readonly topology: PluginTopology | null
}

export interface PodResources {
  readonly name: string
  readonly namespace: string
  readonly containers: readonly { readonly name: string; readonly devices: readonly ListedDevices[] }[]
}
