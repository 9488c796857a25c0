import { fileURLToPath } from 'node:url'

import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition } from '@grpc/proto-loader'

import type { ContainerResponse } from './messages.ts'

/** The version that both sides must speak. */
export const DEVICE_PLUGIN_VERSION = 'v1beta1'

export interface DeviceProtocol {
  readonly registration: ServiceDefinition
  readonly devicePlugin: ServiceDefinition
  readonly podResources: ServiceDefinition
  readonly containerResponse: {
    serialize(response: ContainerResponse): Buffer
    deserialize(bytes: Buffer): ContainerResponse
  }
}

let loaded: DeviceProtocol | undefined

/** Services and messages, read from their descriptions once. */
export function deviceProtocol(): DeviceProtocol {
  loaded ??= load()
  return loaded
}

function load(): DeviceProtocol {
  const plugin = read('device-plugin.proto')
  const resources = read('pod-resources.proto')
  return {
    registration: serviceOf(plugin, 'v1beta1.Registration'),
    devicePlugin: serviceOf(plugin, 'v1beta1.DevicePlugin'),
    podResources: serviceOf(resources, 'v1.PodResourcesLister'),
    // The loader types what it makes by its own descriptions, ours say the same of this message.
    containerResponse: plugin['v1beta1.ContainerAllocateResponse'] as unknown as DeviceProtocol['containerResponse'],
  }
}

function read(file: string): PackageDefinition {
  return loadSync(fileURLToPath(new URL(file, import.meta.url)), { longs: Number, enums: String, defaults: true })
}

function serviceOf(definitions: PackageDefinition, name: string): ServiceDefinition {
  // A name of a service in the file beside this one.
  return definitions[name] as unknown as ServiceDefinition
}
