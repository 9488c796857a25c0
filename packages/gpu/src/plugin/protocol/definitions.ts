import { fileURLToPath } from 'node:url'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** The version that both sides must speak. */
export const DEVICE_PLUGIN_VERSION = 'v1beta1'

export interface KubeletProtocol {
  readonly registration: ServiceDefinition
  readonly devicePlugin: ServiceDefinition
  readonly podResources: ServiceDefinition
}

let loaded: KubeletProtocol | undefined

/** The services, read from their descriptions once. */
export function kubeletProtocol(): KubeletProtocol {
  loaded ??= {
    registration: readService('device-plugin.proto', 'v1beta1.Registration'),
    devicePlugin: readService('device-plugin.proto', 'v1beta1.DevicePlugin'),
    podResources: readService('pod-resources.proto', 'v1.PodResourcesLister'),
  }
  return loaded
}

function readService(file: string, name: string): ServiceDefinition {
  const path = fileURLToPath(new URL(file, import.meta.url))
  // a name of a service in the file beside this one
  return loadSync(path, { longs: Number, enums: String, defaults: true })[name] as unknown as ServiceDefinition
}
