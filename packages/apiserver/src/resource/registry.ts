import type { CustomResourceDescription, FieldError, KindBehavior, KubeObject, ResourceInfo } from '@centaurus/api'

/**
 * One resource in one version, as the server serves it: what discovery shows, how its objects behave, and where they are kept.
 * Built-in ones are made from the catalog of `@centaurus/api`; those of CustomResourceDefinitions are added while the server runs.
 */
export interface ResourceDefinition {
  readonly info: ResourceInfo
  readonly behavior: KindBehavior
  /** Objects of all served versions share one place in the store and one form there. */
  readonly storage: StorageForm
  /**
   * Stored form → this version's form. Absent: they are the same, and stored bytes are served as they are. Gets a private copy
   * that it may change and return.
   */
  readonly fromStorage?: ((object: KubeObject) => KubeObject) | undefined
  /** This version's form → stored form. Gets an object that it may change and return. */
  readonly toStorage?: ((object: KubeObject) => KubeObject) | undefined
  /**
   * Prunes and defaults a freshly parsed object of this version in place (CustomResourceDefinitions: structural pruning and
   * defaults); returns the paths of fields that were dropped. Absent: `decodeObject` with `info.schema`.
   */
  readonly prune?: ((object: KubeObject) => readonly string[]) | undefined
  /** Validation that the schema demands, beyond `behavior.validate` (CustomResourceDefinitions: OpenAPI and CEL rules). */
  readonly validateSchema?: ((object: KubeObject, old: KubeObject | undefined) => FieldError[]) | undefined
  /** Where `/scale` finds its numbers; absent for built-in kinds, which the server knows. */
  readonly scale?: ScalePaths | undefined
  /** Absent: names are the tenant's own. */
  readonly view?: DefinitionView | undefined
  /** What each request for a custom resource in this version is warned of. */
  readonly deprecation?: string | undefined
  /**
   * Of what a CustomResourceDefinition defines: `own` is served in the definition's tenant alone; `shared`, which only `system` can
   * have, in every tenant. Absent: built in, served everywhere.
   */
  readonly custom?: 'own' | 'shared' | undefined
  /** What OpenAPI says of it. Absent: it is known of built-in kinds, custom resources and computed objects. */
  readonly description?: CustomResourceDescription | undefined
  /** Where the objects come from when they are computed and not stored. Its verbs can only be `get` and `list`. */
  readonly virtual?: VirtualObjects | undefined
}

/** Objects that are made when somebody asks. */
export interface VirtualObjects {
  /** True when each tenant has objects of its own; else they are shown to operators alone. */
  readonly forTenants?: boolean | undefined
  /** A structural schema for OpenAPI; absent: objects of any shape. */
  readonly schema?: Readonly<Record<string, unknown>> | undefined
  get(place: VirtualPlace, name: string): Maybe<KubeObject | undefined>
  /** `wants` tells from name, namespace and labels whether the caller chose an object; others may be given, and are left out then. */
  list(place: VirtualPlace, wants: (object: KubeObject) => boolean): Maybe<readonly KubeObject[]>
}

/** Where computed objects are looked for. */
export interface VirtualPlace {
  /** A tenant, or a view over all. */
  readonly tenant: string
  /** `''`: all of them, or the objects have none. */
  readonly namespace: string
}

type Maybe<T> = T | Promise<T>

/** A tenant's objects under the names that a view over all tenants gives them. Both get and give the stored form, and change nothing that they get. */
export interface DefinitionView {
  readonly show: <T extends KubeObject>(object: T) => T
  readonly take: <T extends KubeObject>(object: T) => T
  /** True when {@link show} gives what it gets, for the object with this key. */
  readonly showsAsIs: (key: string) => boolean
}

export interface StorageForm {
  readonly group: string
  readonly resource: string
  readonly version: string
  readonly kind: string
  /** First part of the store's keys: `/registry/<tenant>/<keyGroup>/<resource>/`; the group, or `core`. */
  readonly keyGroup: string
  readonly namespaced: boolean
}

/** JSON paths such as `.spec.replicas`. Source: apiextensions.k8s.io/v1 CustomResourceSubresourceScale. */
export interface ScalePaths {
  readonly specReplicasPath: string
  readonly statusReplicasPath: string
  readonly labelSelectorPath?: string | undefined
}

export type RegistryListener = () => void

/** What the server serves right now, or serves in one tenant. Lookups are a few map accesses; changes are rare and tell every listener. */
export class ResourceRegistry {
  readonly #byVersion = new Map<string, Map<string, ResourceDefinition>>()
  readonly #listeners = new Set<RegistryListener>()
  /** That of `system`, of a tenant's. */
  readonly #base: ResourceRegistry | undefined
  #generation = 0

  /** With `base`, what that one serves in every tenant is served here too, and nothing of this one's own can take its place. */
  constructor(definitions: Iterable<ResourceDefinition> = [], base?: ResourceRegistry) {
    this.#base = base
    for (const definition of definitions) this.#put(definition)
  }

  /** Grows with each change: the version of what discovery serves. */
  get generation(): number {
    return this.#generation + (this.#base?.generation ?? 0)
  }

  find(group: string, version: string, resource: string): ResourceDefinition | undefined {
    const inherited = this.#base?.find(group, version, resource)
    if (inherited !== undefined && isInherited(inherited)) return inherited
    return this.#byVersion.get(versionKey(group, version))?.get(resource)
  }

  /** The definition for a kind, such as `apps/v1 Deployment`. */
  findKind(group: string, version: string, kind: string): ResourceDefinition | undefined {
    const inherited = this.#base?.findKind(group, version, kind)
    if (inherited !== undefined && isInherited(inherited)) return inherited
    const resources = this.#byVersion.get(versionKey(group, version))
    if (resources === undefined) return undefined
    for (const definition of resources.values()) if (definition.info.kind === kind) return definition
    return undefined
  }

  /** Any version's definition of a group's resource; the storage version's where it is served. */
  findResource(group: string, resource: string): ResourceDefinition | undefined {
    const inherited = this.#base?.findResource(group, resource)
    if (inherited !== undefined && isInherited(inherited)) return inherited
    let found: ResourceDefinition | undefined
    for (const resources of this.#byVersion.values()) {
      const definition = resources.get(resource)
      if (definition === undefined || definition.info.group !== group) continue
      if (definition.info.version === definition.storage.version) return definition
      found ??= definition
    }
    return found
  }

  hasGroupVersion(group: string, version: string): boolean {
    return this.#byVersion.has(versionKey(group, version)) || this.#base?.hasGroupVersion(group, version) === true
  }

  /** In the order of registration; what every tenant has comes first. */
  list(): readonly ResourceDefinition[] {
    const own = this.ownList()
    if (this.#base === undefined) return own
    const inherited = this.#base.list().filter(isInherited)
    const names = new Set(inherited.map(nameOf))
    return [...inherited, ...own.filter((definition) => !names.has(nameOf(definition)))]
  }

  /** Without what every tenant has. */
  ownList(): readonly ResourceDefinition[] {
    return [...this.#byVersion.values()].flatMap((resources) => [...resources.values()])
  }

  /** True when nothing is served beyond what every tenant has. */
  get isEmpty(): boolean {
    return this.#byVersion.size === 0
  }

  /** Adds or replaces all of `added` and removes all of `removed` as one change. */
  change(change: {
    readonly added?: readonly ResourceDefinition[]
    readonly removed?: readonly Pick<ResourceInfo, 'group' | 'version' | 'resource'>[]
  }): void {
    for (const { group, version, resource } of change.removed ?? []) {
      const resources = this.#byVersion.get(versionKey(group, version))
      resources?.delete(resource)
      if (resources?.size === 0) this.#byVersion.delete(versionKey(group, version))
    }
    for (const definition of change.added ?? []) this.#put(definition)
    this.#generation++
    for (const listener of this.#listeners) listener()
  }

  /** Calls `listener` after each change. Returns the function that removes it. */
  onChange(listener: RegistryListener): () => void {
    this.#listeners.add(listener)
    const stop = this.#base?.onChange(listener)
    return () => {
      this.#listeners.delete(listener)
      stop?.()
    }
  }

  #put(definition: ResourceDefinition): void {
    const { group, version, resource } = definition.info
    const key = versionKey(group, version)
    let resources = this.#byVersion.get(key)
    if (resources === undefined) this.#byVersion.set(key, (resources = new Map()))
    resources.set(resource, definition)
  }
}

function isInherited({ custom }: ResourceDefinition): boolean {
  return custom !== 'own'
}

function nameOf({ info }: ResourceDefinition): string {
  return `${info.group}/${info.version}/${info.resource}`
}

function versionKey(group: string, version: string): string {
  return `${group}/${version}`
}
