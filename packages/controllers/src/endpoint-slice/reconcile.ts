import { isDeleting, type Stored } from '@centaurus/api'
import { nodes, pods, services, type Node, type Pod } from '@centaurus/api/core/v1'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { Informer, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { resourcePartitionOf } from '../frame/node-authority.ts'
import { watchSelf } from '../frame/owners.ts'
import { addLabelIndex, selectByLabels } from '../frame/selection.ts'
import { MANAGED_BY_LABEL, planEndpointSlices, SLICE_CONTROLLER } from './plan.ts'
import { describeStrangers } from './service-network.ts'
import { addSelectorIndex, servicesOf, watchServicePods } from './service-index.ts'
import { addServiceIndex, serviceKeyOf, slicesOf, writeSlices } from './write.ts'

/** An object of hundreds of endpoints is written again for each pod that starts: 5 s of them go together when that is much work. */
const REST_MS_MAX = 5_000

const NODE_INDEX = 'node'
const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** Pods by their node's name. */
export function addNodeIndex(podCache: Informer<Pod>): void {
  podCache.addIndex(NODE_INDEX, nodeIndexValues)
}

export function podsOnNode(podCache: Informer<Pod>, node: string): readonly Stored<Pod>[] {
  return podCache.byIndex(NODE_INDEX, node)
}

function nodeIndexValues({ spec }: Pod): readonly string[] {
  return spec?.nodeName ? [spec.nodeName] : []
}

/** Keeps the EndpointSlices of services that have a selector. */
export function startEndpointSliceController(deps: ControllerDeps): RunningController {
  const serviceCache = deps.informers.informer(services)
  const podCache = deps.informers.informer(pods)
  const nodeCache = deps.informers.informer(nodes)
  const slices = deps.informers.informer(endpointslices)
  /** What was said of pods that are no endpoints, so that it is not said at each change. */
  const told = new Map<string, string>()
  addSelectorIndex(serviceCache)
  addLabelIndex(podCache)
  addNodeIndex(podCache)
  addServiceIndex(slices)
  const isManaged = (slice: EndpointSlice): boolean => slice.metadata.labels?.[MANAGED_BY_LABEL] === SLICE_CONTROLLER
  return startReconciler(deps, {
    name: 'endpoint-slice-controller',
    restMsMax: REST_MS_MAX,
    informer: serviceCache,
    needs: [podCache, nodeCache, slices],
    watch({ queue }) {
      const enqueueNode = (node: Stored<Node>): void => {
        for (const pod of podsOnNode(podCache, node.metadata.name)) {
          for (const key of servicesOf(serviceCache, pod.metadata.namespace ?? '', pod.metadata.labels ?? {}))
            queue.add(key)
        }
      }
      const enqueueSlice = (slice: Stored<EndpointSlice>): void => {
        const key = serviceKeyOf(slice)
        if (key !== undefined && isManaged(slice)) queue.add(key)
      }
      return [
        watchSelf(serviceCache, queue),
        watchServicePods(podCache, serviceCache, (key) => queue.add(key)),
        slices.addHandler({ onUpdate: enqueueSlice, onDelete: enqueueSlice }),
        nodeCache.addHandler({
          onAdd: enqueueNode,
          onUpdate(node, old) {
            if (node.metadata.labels?.[ZONE_LABEL] !== old.metadata.labels?.[ZONE_LABEL]) enqueueNode(node)
          },
          onDelete: enqueueNode,
        }),
      ]
    },
    async reconcile(key, context) {
      const service = serviceCache.get(key)
      if (service === undefined) {
        told.delete(key)
        return context.writes.forget(key) // the garbage collector takes the slices
      }
      const { type, selector = {} } = service.spec ?? {}
      if (type === 'ExternalName' || Object.keys(selector).length === 0 || isDeleting(service)) return
      const selected = selectByLabels(podCache, service.metadata.namespace ?? '', selector)
      const changes = planEndpointSlices({
        service,
        pods: selected,
        nodeOf: (name) => nodeCache.get(name),
        isNodeUnknown: (pod) => context.nodeAuthority?.isAuthoritative(resourcePartitionOf(pod)) === false,
        existing: slicesOf(slices, key).filter(isManaged),
      })
      await writeSlices(context, changes, { key, slices })
      const strangers = describeStrangers(service, selected)
      if (strangers !== undefined && strangers !== told.get(key))
        context.events.record(service, { type: 'Warning', reason: 'PodsOfOtherNetwork', message: strangers })
      if (strangers === undefined) told.delete(key)
      else told.set(key, strangers)
    },
  })
}
