import { formatKey, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { configmaps, secrets, type ConfigMap, type Pod, type Secret } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'
import type { Informer, InformerFactory } from '@centaurus/client'

import { podReferences } from '../pod/references.ts'

/** Objects that are watched at once; what is beyond is read when it is needed. One stream each. */
const WATCHES_MAX = 2_000
/** How long a first list is waited for before the object is read directly. */
const SYNC_TIMEOUT_MS = 5_000

/** Config maps and secrets that pods of this node use, each watched once while some pod needs it. */
export interface ObjectWatches {
  /** Watches what the pod refers to, and no longer what it referred to before. */
  follow(pod: Pod): void
  /** The pod is over. */
  forget(podUid: string): void
  /** Undefined: not watched, or not yet known. */
  find<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string,
    name: string,
  ): Promise<{ readonly object: Stored<T> | undefined } | undefined>
}

export interface ObjectWatchesOptions {
  /** Used for nothing else: informers are released when no pod needs them. */
  readonly informers: InformerFactory
  readonly clock: Clock
  /** Something that the pod uses came, changed or went. */
  readonly onChange: (podUid: string) => void
}

interface Watched {
  readonly informer: Informer<ConfigMap> | Informer<Secret>
  readonly users: Set<string>
  readonly release: () => void
}

/** Source of the idea: kubelet's watching config map and secret stores (util/manager/watch_based_manager.go), v1.37. */
export function createObjectWatches({ informers, clock, onChange }: ObjectWatchesOptions): ObjectWatches {
  const watched = new Map<string, Watched>()
  const keysOf = new Map<string, ReadonlySet<string>>()
  const start = <T extends ConfigMap | Secret>(type: ResourceType<T>, namespace: string, name: string): void => {
    const key = keyOf(type, namespace, name)
    const select = { namespace, fieldSelector: `metadata.name=${name}` }
    const informer = informers.informer(type, select)
    const users = new Set<string>()
    const tell = (): void => users.forEach(onChange)
    const removeHandler = informer.addHandler({ onAdd: tell, onUpdate: tell, onDelete: tell })
    const release = (): void => {
      removeHandler()
      informers.release(type, select)
    }
    watched.set(key, { informer: informer as unknown as Informer<ConfigMap>, users, release })
  }
  const leave = (podUid: string, key: string): void => {
    const entry = watched.get(key)
    entry?.users.delete(podUid)
    if (entry === undefined || entry.users.size > 0) return
    watched.delete(key)
    entry.release()
  }
  return {
    follow(pod) {
      const { uid = '', namespace = '' } = pod.metadata
      const references = podReferences(pod)
      const wanted = new Set<string>()
      const want = (type: ResourceType<ConfigMap> | ResourceType<Secret>, name: string): void => {
        const key = keyOf(type, namespace, name)
        if (!watched.has(key) && watched.size < WATCHES_MAX) start(type as ResourceType<ConfigMap>, namespace, name)
        watched.get(key)?.users.add(uid)
        wanted.add(key)
      }
      for (const name of references.configMaps) want(configmaps, name)
      for (const name of references.secrets) want(secrets, name)
      for (const key of keysOf.get(uid) ?? []) if (!wanted.has(key)) leave(uid, key)
      keysOf.set(uid, wanted)
    },
    forget(podUid) {
      for (const key of keysOf.get(podUid) ?? []) leave(podUid, key)
      keysOf.delete(podUid)
    },
    async find<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string) {
      const entry = watched.get(keyOf(type, namespace, name))
      if (entry === undefined) return undefined
      const { informer } = entry
      if (!informer.synced && !(await isSyncedSoon(informer, clock))) return undefined
      return { object: informer.get(formatKey(namespace, name)) as Stored<T> | undefined }
    },
  }
}

async function isSyncedSoon(informer: Watched['informer'], clock: Clock): Promise<boolean> {
  const timeout = new AbortController()
  const timer = clock.setTimer(SYNC_TIMEOUT_MS, () => timeout.abort())
  await informer.whenSynced(timeout.signal).catch(() => undefined)
  timer.cancel()
  return informer.synced
}

function keyOf(
  type: ResourceType<ConfigMap> | ResourceType<Secret> | ResourceType<KubeObject>,
  namespace: string,
  name: string,
): string {
  return `${type.group}/${type.resource}/${namespace}/${name}`
}
