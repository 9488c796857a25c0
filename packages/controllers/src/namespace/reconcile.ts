import { deepEqual, isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { namespaces, pods, type Namespace } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { hasVerbs, type ResourceDiscovery, type ServedResource } from '../frame/discovery.ts'
import { messageOf } from '../frame/pods.ts'
import {
  estimatePodSeconds,
  planNamespaceConditions,
  planRecheckSeconds,
  type NamespaceProgress,
  type RemainingContent,
} from './plan.ts'

const FINALIZER = 'kubernetes'

export interface NamespaceDeps extends ControllerDeps {
  readonly discovery: ResourceDiscovery
}

/** Empties namespaces that are being deleted, then lets them go. */
export function startNamespaceController(deps: NamespaceDeps): RunningController {
  const informer = deps.informers.informer(namespaces)
  const podCache = deps.informers.informer(pods)
  return startReconciler(deps, {
    name: 'namespace-controller',
    workers: 10,
    informer,
    watch({ queue }) {
      const add = (namespace: Stored<Namespace>): void => {
        if (namespace.metadata.deletionTimestamp !== undefined) queue.add(namespace.metadata.name)
      }
      return [
        informer.addHandler({ onAdd: add, onUpdate: add }),
        podCache.addHandler({
          onDelete(pod) {
            const namespace = informer.get(pod.metadata.namespace ?? '')
            if (namespace !== undefined) add(namespace)
          },
        }),
      ]
    },
    reconcile: (key, context, signal) => reconcileNamespace(key, { ...context, discovery: deps.discovery }, signal),
  })
}

async function reconcileNamespace(
  name: string,
  context: ReconcilerContext & NamespaceDeps,
  signal: AbortSignal,
): Promise<{ requeueAfterMs: number } | undefined> {
  const { client } = context
  let namespace: Stored<Namespace>
  try {
    namespace = await client.get(namespaces, { name }) // content is deleted for what the server says, never for what a cache says
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
  if (namespace.metadata.deletionTimestamp === undefined) return undefined
  if ((namespace.spec?.finalizers ?? []).length === 0) return undefined
  if (namespace.status?.phase !== 'Terminating') {
    namespace = await client.updateStatus(namespaces, {
      ...namespace,
      status: { ...namespace.status, phase: 'Terminating' },
    })
  }
  const { progress, podSeconds } = await deleteContent(namespace, context, signal)
  namespace = await writeConditions(namespace, context, progress)
  const problems = [
    ...(progress.discoveryError === undefined ? [] : [progress.discoveryError]),
    ...progress.deletionErrors,
  ]
  if (problems.length > 0) throw new Error(`Cannot delete the content of namespace "${name}": ${problems.join('; ')}`)
  if (progress.remaining.length > 0) {
    const seconds = planRecheckSeconds(podSeconds, progress.remaining)
    if (seconds === undefined) throw new Error(`Namespace "${name}" still has content that nothing holds back`)
    return { requeueAfterMs: seconds * 1000 }
  }
  await finalize(namespace, context)
  return undefined
}

interface Deletion {
  readonly progress: NamespaceProgress
  readonly podSeconds: number
}

/** Pods first: what they use must outlive them. */
async function deleteContent(
  namespace: Stored<Namespace>,
  context: ReconcilerContext & NamespaceDeps,
  signal: AbortSignal,
): Promise<Deletion> {
  let served: readonly ServedResource[]
  try {
    served = await context.discovery.resources(signal)
  } catch (error) {
    return { progress: { discoveryError: messageOf(error), deletionErrors: [], remaining: [] }, podSeconds: 0 }
  }
  const deletable = served.filter((resource) => resource.namespaced && hasVerbs(resource, ['delete', 'list']))
  const isPods = (resource: ResourceType<KubeObject>): boolean => resource.group === '' && resource.resource === 'pods'
  const podList = await context.client.list(pods, { namespace: namespace.metadata.name, signal })
  const podSeconds = estimatePodSeconds(namespace, podList.items, context.clock.now())
  const first = await deleteAll(deletable.filter(isPods), namespace.metadata.name, { context, signal })
  if (first.remaining.length > 0) return { progress: { ...first, discoveryError: undefined }, podSeconds }
  const rest = await deleteAll(
    deletable.filter((resource) => !isPods(resource)),
    namespace.metadata.name,
    { context, signal },
  )
  const deletionErrors = [...first.deletionErrors, ...rest.deletionErrors]
  return { progress: { discoveryError: undefined, deletionErrors, remaining: rest.remaining }, podSeconds }
}

async function deleteAll(
  resources: readonly ServedResource[],
  namespace: string,
  { context, signal }: { readonly context: ReconcilerContext; readonly signal: AbortSignal },
): Promise<Pick<NamespaceProgress, 'deletionErrors' | 'remaining'>> {
  const deletionErrors: string[] = []
  const remaining: RemainingContent[] = []
  for (const resource of resources) {
    try {
      const left = await deleteResource(resource, namespace, { context, signal })
      if (left !== undefined) remaining.push(left)
    } catch (error) {
      // A resource that is not served any more holds nothing.
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'MethodNotAllowed')) deletionErrors.push(messageOf(error))
    }
  }
  return { deletionErrors, remaining }
}

async function deleteResource(
  resource: ServedResource,
  namespace: string,
  { context: { client }, signal }: { readonly context: ReconcilerContext; readonly signal: AbortSignal },
): Promise<RemainingContent | undefined> {
  const before = await client.list(resource, { namespace, signal })
  if (before.items.length === 0) return undefined
  if (hasVerbs(resource, ['deletecollection'])) {
    await client.deleteCollection(resource, { namespace, propagationPolicy: 'Background', signal })
  } else {
    for (const item of before.items) {
      await client
        .delete(resource, { namespace, name: item.metadata.name }, { propagationPolicy: 'Background', signal })
        .catch((error: unknown) => {
          if (!isStatus(error, 'NotFound')) throw error
        })
    }
  }
  const { items } = await client.list(resource, { namespace, signal })
  if (items.length === 0) return undefined
  const finalizers = items.flatMap((item) => item.metadata.finalizers ?? [])
  return { group: resource.group, resource: resource.resource, count: items.length, finalizers }
}

async function writeConditions(
  namespace: Stored<Namespace>,
  { client, clock }: ReconcilerContext,
  progress: NamespaceProgress,
): Promise<Stored<Namespace>> {
  const conditions = planNamespaceConditions(namespace.status?.conditions ?? [], progress, clock.now())
  if (deepEqual(conditions, namespace.status?.conditions ?? [])) return namespace
  return client.updateStatus(namespaces, { ...namespace, status: { ...namespace.status, conditions } })
}

async function finalize(namespace: Stored<Namespace>, { client }: ReconcilerContext): Promise<void> {
  const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER)
  try {
    await client.updateSubresource(namespaces, { name: namespace.metadata.name }, 'finalize', {
      ...namespace,
      spec: { ...namespace.spec, finalizers },
    })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
