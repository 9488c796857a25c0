import {
  controllerOf,
  deepEqual,
  formatKey,
  objectKey,
  type KubeObject,
  type ObjectKey,
  type Stored,
} from '@centaurus/api'
import type { Informer, WorkQueue } from '@centaurus/client'

const OWNER_INDEX = 'controller-uid'
/** Objects of a namespace that nothing controls, which a selector may adopt. */
const ORPHAN_PREFIX = 'orphan/'

/** Owned objects by the uid of their controller, and orphans by namespace. */
export function addOwnerIndex<T extends KubeObject>(informer: Informer<T>): void {
  informer.addIndex(OWNER_INDEX, ownerIndexValues)
}

export function ownedBy<T extends KubeObject>(informer: Informer<T>, owner: KubeObject): readonly Stored<T>[] {
  return informer.byIndex(OWNER_INDEX, owner.metadata.uid ?? '')
}

export function orphansIn<T extends KubeObject>(informer: Informer<T>, namespace: string): readonly Stored<T>[] {
  return informer.byIndex(OWNER_INDEX, ORPHAN_PREFIX + namespace)
}

function ownerIndexValues(object: KubeObject): readonly string[] {
  const owner = controllerOf(object)
  return [owner === undefined ? ORPHAN_PREFIX + (object.metadata.namespace ?? '') : owner.uid]
}

export interface OwnerWatch<O extends KubeObject, T extends KubeObject> {
  readonly queue: Pick<WorkQueue, 'add'>
  readonly owners: Informer<O>
  readonly owned: Informer<T>
  /** Group of the owner's API version, and its kind. */
  readonly group: string
  readonly kind: string
  /** Owners in the namespace whose selector takes this orphan. Absent: nothing is adopted. */
  readonly adopters?: ((orphan: Stored<T>) => readonly ObjectKey[]) | undefined
  /** Called for each event of an owned object, with the owner's key; for delays such as minReadySeconds. */
  readonly onOwnedUpdate?: ((key: ObjectKey, object: Stored<T>, old: Stored<T> | undefined) => void) | undefined
}

/** Enqueues the owner of what changes: the one it has, the one it had, and those that might adopt it. */
export function watchOwned<O extends KubeObject, T extends KubeObject>(watch: OwnerWatch<O, T>): () => void {
  const enqueueOwner = (object: Stored<T>): ObjectKey | undefined => {
    const key = resolveOwner(watch, object)
    if (key !== undefined) watch.queue.add(key)
    return key
  }
  const enqueueAdopters = (object: Stored<T>): void => {
    if (controllerOf(object) !== undefined || object.metadata.deletionTimestamp !== undefined) return
    for (const key of watch.adopters?.(object) ?? []) watch.queue.add(key)
  }
  return watch.owned.addHandler({
    onAdd(object) {
      enqueueOwner(object)
      enqueueAdopters(object)
    },
    onUpdate(object, old) {
      if (controllerOf(old)?.uid !== controllerOf(object)?.uid) enqueueOwner(old)
      const key = enqueueOwner(object)
      if (key !== undefined) watch.onOwnedUpdate?.(key, object, old)
      if (!deepEqual(old.metadata.labels, object.metadata.labels) || controllerOf(old) !== undefined)
        enqueueAdopters(object)
    },
    onDelete: (object) => void enqueueOwner(object),
  })
}

/** The owner's key when it is in the cache with the very uid; an owner of that name made later is another. */
function resolveOwner<O extends KubeObject, T extends KubeObject>(
  { owners, group, kind }: OwnerWatch<O, T>,
  object: Stored<T>,
): ObjectKey | undefined {
  const reference = controllerOf(object)
  if (reference === undefined || reference.kind !== kind || groupOf(reference.apiVersion) !== group) return undefined
  const key = formatKey(object.metadata.namespace ?? '', reference.name)
  return owners.get(key)?.metadata.uid === reference.uid ? key : undefined
}

export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}

/** Enqueues every object of an informer by its own key, also when it goes. */
export function watchSelf<T extends KubeObject>(informer: Informer<T>, queue: WorkQueue): () => void {
  const add = (object: Stored<T>): void => queue.add(objectKey(object))
  return informer.addHandler({ onAdd: add, onUpdate: add, onDelete: add })
}
