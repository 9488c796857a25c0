import type { KubeObject, ResourceType } from '@centaurus/api'

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
