export { registryDefinitions } from './registry/definitions.ts'
export { createRegistryExtension } from './registry/registry-extension.ts'
