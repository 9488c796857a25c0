export { createMemoryClient, type MemoryClient } from './memory-client.ts'
export { isInNamespaces, isolateHost, killShims, runInNamespaces } from './namespaces.ts'
export { startDevicePlugin, type DevicePluginSettings, type TestDevicePlugin } from './device-plugin.ts'
