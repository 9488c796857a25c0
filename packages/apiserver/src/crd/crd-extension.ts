import {
  formatTime,
  isStatus,
  type CustomResourceDescription,
  type KubeObject,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import { customresourcedefinitions, type CustomResourceDefinition } from '@centaurus/api/apiextensions/v1'
import type { Client } from '@centaurus/client'
import type { ApiServerCore, ApiServerExtension, CreateExtension } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { customDefinitions, describeCustomResources } from './custom-definition.ts'
import { defineCustomResourceDefinitions } from './definition-behavior.ts'
import { createSharingCheck, isShared } from './sharing.ts'
import { CLEANUP_FINALIZER, isConditionTrue, isEstablished, planNames, setCondition } from './naming.ts'

/** Objects of a definition that is going away are deleted so many at a time. */
const DELETES_AT_ONCE = 32

type Definition = Stored<CustomResourceDefinition>

/**
 * Serves what CustomResourceDefinitions define, within the same turn in which their write is heard of: the resource is registered
 * first and `Established` is told after. A definition that is deleted takes its objects with it first. Each tenant has definitions of
 * its own; one of `system` that is marked as shared is served in all of them, where it can't be hidden or changed.
 * Source: apiextensions-apiserver pkg/controller/{status,establish,finalizer} (v0.37); sharing as Arktos has it.
 */
export function createCrdExtension(): CreateExtension {
  return (core) => {
    const builtIn = core.registry.find('apiextensions.k8s.io', 'v1', 'customresourcedefinitions')
    if (builtIn !== undefined) core.registry.change({ added: [defineCustomResourceDefinitions(builtIn)] })
    const lives = new Map<string, DefinitionLife>()
    const follow = (tenant: string): void => {
      if (lives.has(tenant) === core.tenants.isHosted(tenant)) return
      const life = lives.get(tenant) ?? new DefinitionLife(core, tenant)
      if (lives.delete(tenant)) {
        life.close()
        core.registries.drop(tenant)
      } else {
        lives.set(tenant, life)
        life.start()
      }
    }
    let stop: () => void = () => {}
    const extension: ApiServerExtension = {
      writeChecks: [createSharingCheck(core)],
      async start() {
        stop = core.tenants.onChange(follow)
        for (const tenant of [SYSTEM_TENANT, ...core.tenants.hosted()]) follow(tenant)
      },
      async close() {
        stop()
        for (const life of lives.values()) life.close()
      },
    }
    return extension
  }
}

/** What OpenAPI says about the custom resources that are served in the tenant; without one, about those that are in every tenant. */
export function servedCustomResources(reader: ObjectReader, tenant: string | undefined): CustomResourceDescription[] {
  const own = tenant === undefined ? [] : reader.list(customresourcedefinitions, undefined, { tenant })
  const shared = tenant === SYSTEM_TENANT ? [] : reader.list(customresourcedefinitions).filter(isShared)
  const names = new Set(shared.map(({ metadata }) => metadata.name))
  return [...shared, ...own.filter(({ metadata }) => !names.has(metadata.name))]
    .filter(isEstablished)
    .flatMap(describeCustomResources)
}

interface Served {
  readonly form: string
  readonly definitions: readonly ResourceDefinition[]
}

class DefinitionLife {
  readonly #core: ApiServerCore
  readonly #tenant: string
  readonly #client: Client
  /** What is registered, by name of the definition. */
  readonly #served = new Map<string, Served>()
  /** Definitions whose objects are being deleted, and how to stop listening to these. */
  readonly #emptying = new Map<string, () => void>()
  #stop: () => void = () => {}
  #closed = false

  constructor(core: ApiServerCore, tenant: string) {
    this.#core = core
    this.#tenant = tenant
    this.#client = core.clientOf(tenant)
  }

  start(): void {
    const { reader } = this.#core
    const options = { tenant: this.#tenant }
    this.#stop = reader.onChange(
      customresourcedefinitions,
      (event) => {
        if (event.type === 'DELETED') this.#forget(event.object())
        else this.#sync(event.object())
      },
      options,
    )
    for (const crd of reader.list(customresourcedefinitions, undefined, options)) this.#sync(crd)
  }

  close(): void {
    this.#closed = true
    this.#stop()
    for (const stop of this.#emptying.values()) stop()
  }

  #sync(crd: Definition): void {
    const planned = planNames(crd, this.#othersOf(crd), formatTime(this.#core.clock.now()))
    const next = planned === undefined ? crd : { ...crd, status: planned }
    if (isEstablished(next)) this.#serve(next)
    if (crd.metadata.deletionTimestamp !== undefined) return this.#terminate(next)
    if (planned !== undefined)
      this.#run('Could not accept names of CustomResourceDefinition', crd, () => this.#writeStatus(next))
  }

  #serve(crd: Definition): void {
    const form = formOf(crd)
    const known = this.#served.get(crd.metadata.name)
    if (known?.form === form) return
    const custom = this.#tenant === SYSTEM_TENANT && isShared(crd) ? 'shared' : 'own'
    const added = this.#isBuiltIn(crd)
      ? []
      : customDefinitions(crd).map((definition) => ({ ...definition, custom }) as const)
    const kept = new Set(added.map(({ info }) => info.version))
    const removed = (known?.definitions ?? []).map(({ info }) => info).filter(({ version }) => !kept.has(version))
    this.#served.set(crd.metadata.name, { form, definitions: added })
    this.#core.registries.change(this.#tenant, { added, removed })
  }

  /** The definition is gone: so is its resource, and its names are free for others. */
  #forget(crd: Definition): void {
    this.#emptying.get(crd.metadata.name)?.()
    this.#emptying.delete(crd.metadata.name)
    const served = this.#served.get(crd.metadata.name)
    this.#served.delete(crd.metadata.name)
    if (served !== undefined) {
      this.#core.registries.change(this.#tenant, { removed: served.definitions.map(({ info }) => info) })
    }
    for (const other of this.#othersOf(crd)) this.#sync(other)
  }

  #terminate(crd: Definition): void {
    if (crd.metadata.finalizers?.includes(CLEANUP_FINALIZER) !== true || this.#emptying.has(crd.metadata.name)) return
    const type = instanceType(crd)
    const owners = this.#ownersOf(crd)
    const check = (): void => {
      if (owners.some((tenant) => this.#core.reader.list(type, undefined, { tenant }).length > 0)) return
      this.#run('Could not finish deletion of CustomResourceDefinition', crd, () =>
        this.#removeFinalizer(crd.metadata.name),
      )
    }
    const listener = ({ type: change }: { readonly type: string }): void => {
      if (change === 'DELETED') check()
    }
    const stops = owners.map((tenant) => this.#core.reader.onChange(type, listener, { tenant }))
    this.#emptying.set(crd.metadata.name, () => stops.forEach((stop) => stop()))
    this.#run('Could not delete objects of CustomResourceDefinition', crd, async () => {
      await this.#writeTerminating(crd)
      for (const tenant of owners) await this.#deleteInstances(type, tenant)
      check()
    })
  }

  /** The server has the resource anyway: it stays as it is, whoever installs a definition of it and removes it again. */
  #isBuiltIn({ spec }: Definition): boolean {
    const found = this.#core.registries.of(this.#tenant).findResource(spec.group, spec.names.plural)
    return found !== undefined && found.custom === undefined
  }

  /** Tenants that may have objects of the definition. */
  #ownersOf(crd: Definition): readonly string[] {
    if (this.#isBuiltIn(crd)) return []
    const isEverywhere = this.#tenant === SYSTEM_TENANT && isShared(crd)
    return isEverywhere ? [SYSTEM_TENANT, ...this.#core.tenants.hosted()] : [this.#tenant]
  }

  async #deleteInstances(type: ResourceType<KubeObject>, tenant: string): Promise<void> {
    const client = this.#core.clientOf(tenant)
    const pending = this.#core.reader.list(type, undefined, { tenant })
    for (let i = 0; i < pending.length; i += DELETES_AT_ONCE) {
      const some = pending.slice(i, i + DELETES_AT_ONCE)
      await Promise.all(
        some.map(({ metadata }) =>
          client.delete(type, { namespace: metadata.namespace, name: metadata.name }).catch((error: unknown) => {
            if (!isStatus(error, 'NotFound')) throw error
          }),
        ),
      )
    }
  }

  async #writeTerminating(crd: Definition): Promise<void> {
    if (isConditionTrue(crd.status ?? {}, 'Terminating')) return
    const condition = {
      type: 'Terminating',
      status: 'True',
      reason: 'InstanceDeletionInProgress',
      message: 'CustomResource deletion is in progress',
    } as const
    const conditions = setCondition(crd.status?.conditions ?? [], condition, formatTime(this.#core.clock.now()))
    await this.#writeStatus({ ...crd, status: { ...crd.status, conditions } })
  }

  async #removeFinalizer(name: string): Promise<void> {
    const crd = await this.#client.get(customresourcedefinitions, { name })
    const finalizers = (crd.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CLEANUP_FINALIZER)
    await this.#client.update(customresourcedefinitions, { ...crd, metadata: { ...crd.metadata, finalizers } })
  }

  async #writeStatus(crd: Definition): Promise<void> {
    await this.#client.updateStatus(customresourcedefinitions, crd)
  }

  #othersOf(crd: Definition): Definition[] {
    const { reader } = this.#core
    const own = reader.list(customresourcedefinitions, undefined, { tenant: this.#tenant })
    const shared = this.#tenant === SYSTEM_TENANT ? [] : reader.list(customresourcedefinitions).filter(isShared)
    const all = [...own, ...shared]
    return all.filter((other) => other.spec.group === crd.spec.group && other.metadata.name !== crd.metadata.name)
  }

  /** A change that somebody else made meanwhile brings us back by its own event. */
  #run(failure: string, crd: Definition, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (this.#closed || isStatus(error, 'Conflict') || isStatus(error, 'NotFound')) return
      this.#core.logger.warn(failure, { name: crd.metadata.name, error })
    })
  }
}

/** Changes with all that decides what is served: a status alone must not make clients read discovery again. */
function formOf({ metadata, status }: Definition): string {
  return JSON.stringify([
    metadata.uid,
    metadata.generation,
    metadata.deletionTimestamp,
    isShared({ metadata }),
    status?.storedVersions,
    status?.acceptedNames,
  ])
}

/** The type by which objects can be deleted: any served version does. */
function instanceType({ spec }: Definition): ResourceType<KubeObject> {
  const version = spec.versions.find((entry) => entry.served) ?? spec.versions[0]
  return {
    group: spec.group,
    version: version?.name ?? '',
    resource: spec.names.plural,
    kind: spec.names.kind,
    namespaced: spec.scope === 'Namespaced',
  }
}
