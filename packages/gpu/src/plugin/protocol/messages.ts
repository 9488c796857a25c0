/** Messages of the device-plugin API v1beta1, as proto-loader takes and gives them. */

export interface RegisterRequest {
  readonly version: string
  /** Name of the plugin's socket in the folder of the kubelet's. */
  readonly endpoint: string
  readonly resourceName: string
  readonly options: PluginOptions
}

export interface PluginOptions {
  readonly preStartRequired: boolean
  readonly getPreferredAllocationAvailable: boolean
}

export interface PluginDevice {
  readonly ID: string
  readonly health: 'Healthy' | 'Unhealthy'
  /** Absent: at no NUMA node. */
  readonly topology?: { readonly nodes: readonly { readonly ID: number }[] }
}

export interface DeviceList {
  readonly devices: readonly PluginDevice[]
}

export interface PreferredRequest {
  readonly containerRequests: readonly {
    readonly availableDeviceIDs: readonly string[]
    readonly mustIncludeDeviceIDs: readonly string[]
    readonly allocationSize: number
  }[]
}

export interface PreferredResponse {
  readonly containerResponses: readonly { readonly deviceIDs: readonly string[] }[]
}

export interface AllocateRequest {
  readonly containerRequests: readonly { readonly devicesIds: readonly string[] }[]
}

export interface AllocateResponse {
  readonly containerResponses: readonly ContainerResponse[]
}

/** What a container needs, to use the devices that it was given. */
export interface ContainerResponse {
  readonly envs: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  readonly devices: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly permissions: string
  }[]
  readonly cdiDevices: readonly { readonly name: string }[]
}

export interface Mount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readOnly: boolean
}
