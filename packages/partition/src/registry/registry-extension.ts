import { ownDefinitions, type CreateExtension } from '@centaurus/apiserver'
import { registryDefinitions } from './definitions.ts'

/** Serves the kinds of the registry: `partitions` and `tenants` of `centaurus.io/v1`. */
export function createRegistryExtension(): CreateExtension {
  return ({ registry }) => {
    registry.change({ added: registryDefinitions.flatMap((definition) => ownDefinitions(definition)) })
    return {}
  }
}
