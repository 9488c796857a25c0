import type { KubeObject, Stored } from '@centaurus/api'
import {
  createEventRecorder,
  createWorkQueue,
  runController,
  type InformerHandler,
  type RunningController,
} from '@centaurus/client'
import type { ControllerDeps } from '../frame/controller.ts'
import { hasVerbs, type ResourceDiscovery, type ServedResource } from '../frame/discovery.ts'
import { messageOf } from '../frame/pods.ts'
import { checkObject, InvalidOwnerError, orphanDependents, type CollectDeps } from './collect.ts'
import { OwnerGraph, saysNothingNew, type GraphEffects } from './graph.ts'

/** Source: ConcurrentGCSyncs default, garbagecollector/config v1.37. */
const WORKERS = 20
const CHECK_PREFIX = 'check/'
const ORPHAN_PREFIX = 'orphan/'
/** Asked again in any case, as upstream's Sync period. */
const DISCOVERY_INTERVAL_MS = 30_000

export interface GarbageCollectorDeps extends ControllerDeps {
  readonly discovery: ResourceDiscovery
}

/** Deletes what has lost all its owners, and carries out foreground and orphan deletions, over all resources. */
export function startGarbageCollector(deps: GarbageCollectorDeps): RunningController {
  const name = 'garbage-collector-controller'
  const queue = createWorkQueue({ clock: deps.clock })
  const events = createEventRecorder({ ...deps, component: 'garbage-collector-controller' })
  const graph = new OwnerGraph()
  const follow = (effects: GraphEffects): void => {
    for (const uid of effects.check) queue.add(CHECK_PREFIX + uid)
    for (const uid of effects.orphan) queue.add(ORPHAN_PREFIX + uid)
  }
  const monitors = createMonitors(deps, graph, follow)
  const collect: CollectDeps = {
    client: deps.client,
    graph,
    resourceOf: monitors.resourceOf,
    enqueueCheck: (uid) => queue.add(CHECK_PREFIX + uid),
    nodeAuthority: deps.nodeAuthority,
    absentOwners: new Set(),
  }
  const running = runController({
    name,
    queue,
    workers: WORKERS,
    logger: deps.logger,
    async reconcile(key, signal) {
      await monitors.whenSynced(signal) // dependents that no watch has told of yet must not be missed
      if (key.startsWith(ORPHAN_PREFIX)) return orphanDependents(key.slice(ORPHAN_PREFIX.length), collect)
      const uid = key.slice(CHECK_PREFIX.length)
      try {
        await checkObject(uid, collect)
      } catch (error) {
        if (!(error instanceof InvalidOwnerError)) throw error
        const node = graph.get(uid)
        if (node === undefined) return
        const { group, version, kind } = node.type
        const apiVersion = group === '' ? version : `${group}/${version}`
        const subject: KubeObject = { apiVersion, kind, metadata: { name: node.name, namespace: node.namespace, uid } }
        events.record(subject, { type: 'Warning', reason: 'OwnerRefInvalidNamespace', message: messageOf(error) })
      }
    },
  })
  return {
    name,
    queue,
    async close() {
      await monitors.close()
      await running.close()
      await events.close()
    },
  }
}

interface Monitors {
  readonly resourceOf: CollectDeps['resourceOf']
  whenSynced(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** One informer for each resource that can be deleted and watched, following what the server serves. */
function createMonitors(
  deps: GarbageCollectorDeps,
  graph: OwnerGraph,
  follow: (effects: GraphEffects) => void,
): Monitors {
  const { discovery, informers, clock, logger } = deps
  const active = new Map<string, { readonly type: ServedResource; readonly stop: () => void }>()
  const abort = new AbortController()
  let kinds = new Map<string, ServedResource>()
  let pending: Promise<void> = Promise.resolve()
  const refresh = async (): Promise<void> => {
    const served = await discovery.resources(abort.signal)
    kinds = new Map(served.map((resource) => [kindKey(resource.group, resource.kind), resource]))
    const wanted = new Map(served.filter(isCollectable).map((resource) => [resourceKey(resource), resource]))
    for (const [key, monitor] of active) {
      if (wanted.has(key)) continue
      monitor.stop()
      active.delete(key)
      informers.release(monitor.type)
    }
    for (const [key, type] of wanted) {
      if (active.has(key)) continue
      const stop = informers.informer(type).addHandler(watchOwners(type, graph, follow))
      active.set(key, { type, stop })
    }
  }
  const refreshSoon = (): Promise<void> => {
    pending = pending.then(refresh).catch((error: unknown) => {
      if (!abort.signal.aborted) logger.warn('Could not learn which resources there are', { error })
    })
    return pending
  }
  const loop = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      await refreshSoon()
      await clock.sleep(DISCOVERY_INTERVAL_MS, { signal: abort.signal }).catch(() => {})
    }
  }
  const looping = loop()
  const unsubscribe = discovery.onChange(() => void refreshSoon())
  return {
    async resourceOf(group, kind) {
      const known = kinds.get(kindKey(group, kind))
      if (known !== undefined) return known
      await refreshSoon()
      const found = kinds.get(kindKey(group, kind))
      if (found === undefined)
        throw new Error(`Cannot tell whether owners exist: no resource has kind "${kind}" in group "${group}"`)
      return found
    },
    async whenSynced(signal) {
      await pending
      for (const { type } of active.values()) {
        const informer = informers.informer(type)
        if (!informer.synced) await informer.whenSynced(signal)
      }
    },
    async close() {
      unsubscribe()
      abort.abort(new Error('Garbage collector closed'))
      await looping
      await pending
      for (const { stop } of active.values()) stop()
    },
  }
}

/** Events are many, own nothing, and expire by themselves. Source: ignored resources, garbagecollector v1.37. */
function watchOwners(
  type: ServedResource,
  graph: OwnerGraph,
  follow: (effects: GraphEffects) => void,
): InformerHandler<KubeObject> {
  const put = (object: Stored<KubeObject>): void => follow(graph.put(type, object))
  return {
    onAdd: put,
    onUpdate(object, old) {
      if (!saysNothingNew(object, old)) put(object)
    },
    onDelete: (object) => follow(graph.remove(object.metadata.uid)),
  }
}

function isCollectable(resource: ServedResource): boolean {
  return resource.resource !== 'events' && hasVerbs(resource, ['delete', 'list', 'watch'])
}

function resourceKey({ group, version, resource }: ServedResource): string {
  return `${group}/${version}/${resource}`
}

function kindKey(group: string, kind: string): string {
  return `${group}/${kind}`
}
