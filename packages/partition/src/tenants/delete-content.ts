import { isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import { namespaces, type Namespace } from '@centaurus/api/core/v1'
import type { ObjectReader, TenantRegistries } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import { planDeletion, type TenantContent } from './plan-deletion.ts'

/** Deletes under way at once; they share the store's group commit. */
const DELETES_AT_ONCE = 32
/** Keys removed in one commit; etcd takes 128 operations by default. */
const KEYS_PER_COMMIT_MAX = 100

export interface DeletionDeps {
  readonly reader: ObjectReader
  readonly registries: TenantRegistries
  /** Of the tenant. */
  readonly client: Client
  readonly store: Store
}

/** Tells what can go to go. Resolves to the resources of which something is left, sorted; empty when nothing is. */
export async function deleteContent(tenant: string, deps: DeletionDeps): Promise<string[]> {
  // marked first, so that controllers make nothing in them any more; they stay until they are empty
  await deleteEach(namespaces as ResourceType<KubeObject>, deps.reader.list(namespaces, undefined, { tenant }), deps)
  for (const type of planDeletion(contentOf(tenant, deps))) await deleteAll(tenant, type, deps)
  return contentOf(tenant, deps)
    .map(({ type: { group, resource } }) => (group === '' ? resource : `${resource}.${group}`))
    .toSorted()
}

/**
 * Removes the keys that no API shows any more, such as objects of a definition that is not served, and tells whether the store holds
 * nothing of the tenant. Call it when {@link deleteContent} has nothing left.
 */
export async function deleteLeftovers(tenant: string, { store }: DeletionDeps): Promise<boolean> {
  const prefix = `/registry/${tenant}/`
  for (;;) {
    const { entries } = await store.range(prefix, { limit: KEYS_PER_COMMIT_MAX })
    if (entries.length === 0) return true
    const { committed } = await store.commit({
      compare: entries.map(({ key, modRevision }) => ({ key, modRevision })),
      changes: entries.map(({ key }) => ({ type: 'delete', key })),
    })
    if (!committed) return false // somebody still writes: look again later
  }
}

function contentOf(tenant: string, { reader, registries }: DeletionDeps): TenantContent[] {
  const seen = new Set<string>()
  const content: TenantContent[] = []
  for (const { info, storage } of registries.of(tenant).list()) {
    const key = `${storage.group}/${storage.resource}`
    if (seen.has(key) || !info.verbs.includes('delete')) continue
    seen.add(key)
    const count = reader.count({ group: storage.group, resource: storage.resource }, { tenant })
    const { group, version, resource, kind, namespaced } = info
    if (count > 0) content.push({ type: { group, version, resource, kind, namespaced }, count })
  }
  return content
}

async function deleteAll(tenant: string, type: ResourceType<KubeObject>, deps: DeletionDeps): Promise<void> {
  const pending = deps.reader.list(type, undefined, { tenant })
  await deleteEach(type, pending, deps)
  if (type.group !== namespaces.group || type.resource !== namespaces.resource) return
  for (const namespace of pending) await finalizeNamespace(namespace as Namespace, deps)
}

async function deleteEach(
  type: ResourceType<KubeObject>,
  objects: readonly KubeObject[],
  deps: DeletionDeps,
): Promise<void> {
  const pending = objects.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  for (let i = 0; i < pending.length; i += DELETES_AT_ONCE) {
    await Promise.all(pending.slice(i, i + DELETES_AT_ONCE).map((object) => deleteOne(type, object, deps)))
  }
}

async function deleteOne(type: ResourceType<KubeObject>, { metadata }: KubeObject, deps: DeletionDeps): Promise<void> {
  const { namespace, name = '' } = metadata
  try {
    await deps.client.delete(type, { namespace, name }, { propagationPolicy: 'Background' })
  } catch (error) {
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error // the next round sees what came between
  }
}

/** The namespace is empty and marked: takes out the finalizer that waits for just that. */
async function finalizeNamespace({ metadata: { name = '' } }: Namespace, { client }: DeletionDeps): Promise<void> {
  try {
    const namespace = await client.get(namespaces, { name })
    const spec = { ...namespace.spec, finalizers: [] }
    await client.updateSubresource(namespaces, { name }, 'finalize', { ...namespace, spec })
  } catch (error) {
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
  }
}
