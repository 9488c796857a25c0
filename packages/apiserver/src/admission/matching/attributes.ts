import { CEL_STEPS_MAX, deepClone, SYSTEM_TENANT, type GroupVersionKind, type KubeObject } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import type { UserInfo } from '../../request/request-info.ts'
import type { ResourceDefinition } from '../../resource/registry.ts'
import type { WriteRequest } from '../../resource/target.ts'

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

/** Source: meta/v1 GroupVersionResource. */
export interface GroupVersionResource {
  readonly group: string
  readonly version: string
  readonly resource: string
}

/** One of the versions in which a request's resource is served. */
export interface ServedVersion {
  readonly definition: ResourceDefinition
  readonly resource: GroupVersionResource
  /** Of the objects: the resource's, or its subresource's. */
  readonly kind: GroupVersionKind
}

export interface AttributesInit {
  readonly request: WriteRequest
  readonly operation: Operation
  readonly subresource: string
  /** `''` when the server will choose it, or when all of a collection are meant. */
  readonly name: string
  /** In the stored form; or of {@link ownKind}. */
  readonly object: KubeObject | undefined
  readonly old: KubeObject | undefined
  /** Kind of the objects when it is not the resource's: Binding, Eviction, Scale, PodExecOptions … */
  readonly ownKind?: GroupVersionKind | undefined
  /** DeleteOptions and the like, as the client gave them; absent for a connect. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
}

/**
 * What admission asks about, under the names of the tenant that it happens in. Source: apiserver pkg/admission/attributes.go, v0.37. Objects
 * are converted to a version when somebody wants to see them in it.
 */
export class Attributes {
  readonly request: WriteRequest
  readonly operation: Operation
  readonly subresource: string
  readonly name: string
  /** That of a Namespace is its own name, as upstream has it. */
  readonly namespace: string
  readonly requested: ServedVersion
  readonly options: Readonly<Record<string, unknown>> | undefined
  readonly old: KubeObject | undefined
  readonly ownKind: GroupVersionKind | undefined
  /** What all expressions about the request may cost together, in a tenant. Each has a budget of its own besides. */
  readonly steps: { stepsLeft: number }
  #object: KubeObject | undefined
  readonly #seen = new Map<KubeObject, Map<ResourceDefinition, KubeObject>>()

  constructor(init: AttributesInit) {
    const { request } = init
    const { definition } = request.target
    this.request = request
    this.operation = init.operation
    this.subresource = init.subresource
    this.name = init.name
    this.namespace = isNamespaceResource(definition) ? init.name : request.namespace
    this.ownKind = init.ownKind
    this.requested = servedVersion(definition, init.ownKind)
    this.options = init.options
    this.steps = { stepsLeft: request.target.tenant === SYSTEM_TENANT ? Number.POSITIVE_INFINITY : CEL_STEPS_MAX }
    this.old = init.old
    this.#object = init.object
  }

  get tenant(): string {
    return this.request.target.tenant
  }

  get user(): UserInfo {
    return this.request.user
  }

  /** In the stored form. Shared: do not change it. */
  get object(): KubeObject | undefined {
    return this.#object
  }

  /** Takes another object in the place of what was there. */
  replaceObject(object: KubeObject): void {
    this.#object = object
  }

  /** The object in a version; shared among those who look. */
  objectIn(version: ServedVersion): KubeObject | undefined {
    return this.#convert(this.#object, version)
  }

  oldIn(version: ServedVersion): KubeObject | undefined {
    return this.#convert(this.old, version)
  }

  #convert(object: KubeObject | undefined, { definition }: ServedVersion): KubeObject | undefined {
    if (object === undefined || this.ownKind !== undefined || definition.fromStorage === undefined) return object
    let versions = this.#seen.get(object)
    if (versions === undefined) this.#seen.set(object, (versions = new Map()))
    let converted = versions.get(definition)
    if (converted === undefined) versions.set(definition, (converted = definition.fromStorage(deepClone(object))))
    return converted
  }
}

/** A definition as rules see it. */
export function servedVersion(definition: ResourceDefinition, ownKind?: GroupVersionKind): ServedVersion {
  const { group, version, resource, kind } = definition.info
  return { definition, resource: { group, version, resource }, kind: ownKind ?? { group, version, kind } }
}

export function isNamespaceResource({ info }: ResourceDefinition): boolean {
  return info.group === namespaces.group && info.resource === namespaces.resource
}
