import { deepEqual, isDeleting, isStatus, type Stored } from '@centaurus/api'
import { endpoints, pods, services, type Endpoints, type Service } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { HEADLESS_LABEL, isHeadless } from '../endpoint-slice/plan.ts'
import { addSelectorIndex, watchServicePods } from '../endpoint-slice/service-index.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { watchSelf } from '../frame/owners.ts'
import { isNamespaceTerminating, messageOf } from '../frame/pods.ts'
import { addLabelIndex, selectByLabels } from '../frame/selection.ts'
import { planSubsets } from './plan.ts'

/** An object of hundreds of endpoints is written again for each pod that starts: 5 s of them go together when that is much work. */
const REST_MS_MAX = 5_000

export const ENDPOINTS_MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by'
const CONTROLLER = 'endpoint-controller'
const OVER_CAPACITY_ANNOTATION = 'endpoints.kubernetes.io/over-capacity'
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'

/** Keeps the Endpoints object of each service that has a selector, and removes those whose service is gone. */
export function startEndpointsController(deps: ControllerDeps): RunningController {
  const serviceCache = deps.informers.informer(services)
  const podCache = deps.informers.informer(pods)
  const cache = deps.informers.informer(endpoints)
  addSelectorIndex(serviceCache)
  addLabelIndex(podCache)
  return startReconciler(deps, {
    name: 'endpoint-controller',
    restMsMax: REST_MS_MAX,
    informer: serviceCache,
    needs: [podCache, cache],
    watch: ({ queue }) => [
      watchSelf(serviceCache, queue),
      watchServicePods(podCache, serviceCache, (key) => queue.add(key)),
      watchSelf(cache, queue),
    ],
    async reconcile(key, context) {
      const service = serviceCache.get(key)
      const current = cache.get(key)
      if (service === undefined) return removeLeftover(context, current)
      const { type, selector = {} } = service.spec ?? {}
      if (type === 'ExternalName' || Object.keys(selector).length === 0 || isDeleting(service)) return
      const wanted = planEndpoints(
        service,
        current,
        planSubsets(service, selectByLabels(podCache, service.metadata.namespace ?? '', selector)),
      )
      if (current !== undefined && isSame(current, wanted)) return
      await write(context, { service, current, wanted })
    },
  })
}

function planEndpoints(
  service: Stored<Service>,
  current: Stored<Endpoints> | undefined,
  plan: ReturnType<typeof planSubsets>,
): Endpoints {
  const { [HEADLESS_LABEL]: _headless, ...serviceLabels } = service.metadata.labels ?? {}
  const { [OVER_CAPACITY_ANNOTATION]: _over, ...annotations } = current?.metadata.annotations ?? {}
  const labels = {
    ...serviceLabels,
    ...(isHeadless(service.spec) ? { [HEADLESS_LABEL]: '' } : {}),
    [ENDPOINTS_MANAGED_BY_LABEL]: CONTROLLER,
  }
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      ...(current?.metadata ?? { name: service.metadata.name, namespace: service.metadata.namespace }),
      labels,
      annotations: plan.isTruncated ? { ...annotations, [OVER_CAPACITY_ANNOTATION]: 'truncated' } : annotations,
    },
    ...(plan.subsets.length === 0 ? {} : { subsets: plan.subsets }),
  }
}

function isSame(current: Endpoints, wanted: Endpoints): boolean {
  return (
    deepEqual(current.subsets, wanted.subsets) &&
    deepEqual(current.metadata.labels, wanted.metadata.labels) &&
    deepEqual(current.metadata.annotations ?? {}, wanted.metadata.annotations)
  )
}

interface EndpointsWrite {
  readonly service: Stored<Service>
  readonly current: Stored<Endpoints> | undefined
  readonly wanted: Endpoints
}

async function write(
  { client, events }: ReconcilerContext,
  { service, current, wanted }: EndpointsWrite,
): Promise<void> {
  const { namespace, name } = service.metadata
  try {
    await (current === undefined ? client.create(endpoints, wanted) : client.update(endpoints, wanted))
  } catch (error) {
    if (isNamespaceTerminating(error) || isStatus(error, 'Conflict') || isStatus(error, 'AlreadyExists')) {
      if (isNamespaceTerminating(error)) return
      throw error // the cache was behind
    }
    const reason = current === undefined ? 'FailedToCreateEndpoint' : 'FailedToUpdateEndpoint'
    const what = current === undefined ? 'create endpoint for service' : 'update endpoint'
    events.record(wanted, {
      type: 'Warning',
      reason,
      message: `Failed to ${what} ${namespace}/${name}: ${messageOf(error)}`,
    })
    throw error
  }
}

/** Only what this controller made: Endpoints of a user, or of leader election, stay. */
async function removeLeftover({ client }: ReconcilerContext, current: Stored<Endpoints> | undefined): Promise<void> {
  if (current === undefined || current.metadata.annotations?.[LEADER_ANNOTATION] !== undefined) return
  if (current.metadata.labels?.[ENDPOINTS_MANAGED_BY_LABEL] !== CONTROLLER) return
  const { namespace, name, uid } = current.metadata
  try {
    await client.delete(endpoints, { namespace, name }, { preconditions: { uid } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
