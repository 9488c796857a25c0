import type { KubeObject, ResourceInfo, ResourceType } from '@centaurus/api'

/** A resource that the server serves, at its group's preferred version. */
export interface ServedResource extends ResourceType<KubeObject> {
  readonly verbs: readonly string[]
}

/** What the server serves now, custom resources included. Subresources are not listed. */
export interface ResourceDiscovery {
  /** Throws when some group can't be told: half an answer would look as if the rest did not exist. */
  resources(signal?: AbortSignal): Promise<readonly ServedResource[]>
  /** Calls when the answer may have changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void
}

export function hasVerbs(resource: ServedResource, verbs: readonly string[]): boolean {
  return verbs.every((verb) => resource.verbs.includes(verb))
}

/** What {@link discoverFrom} needs of an API server's registry. */
export interface ResourceRegistryLike {
  list(): readonly { readonly info: ResourceInfo; readonly storage: { readonly version: string } }[]
  onChange(listener: () => void): () => void
}

/** Discovery of an API server in this process: always complete. Each resource appears once, at its storage version where served. */
export function discoverFrom(registry: ResourceRegistryLike): ResourceDiscovery {
  return {
    async resources() {
      const chosen = new Map<string, ServedResource>()
      for (const { info, storage } of registry.list()) {
        const key = `${info.group}/${info.resource}`
        if (chosen.has(key) && info.version !== storage.version) continue
        const { group, version, resource, kind, namespaced, verbs } = info
        chosen.set(key, { group, version, resource, kind, namespaced, verbs })
      }
      return [...chosen.values()]
    },
    onChange: (listener) => registry.onChange(listener),
  }
}
