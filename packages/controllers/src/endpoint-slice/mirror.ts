import { isStatus, ownerReferenceTo, type Stored } from '@centaurus/api'
import { endpoints, services, type EndpointAddress, type Endpoints, type EndpointSubset } from '@centaurus/api/core/v1'
import { endpointslices, type Endpoint, type EndpointPort, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { watchSelf } from '../frame/owners.ts'
import { endpointKey, packSlices, portsKey, type PortGroup, type SliceChanges } from './pack.ts'
import { familyOf, MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from './plan.ts'
import { addServiceIndex, serviceKeyOf, slicesOf, writeSlices } from './write.ts'

const CONTROLLER = 'endpointslicemirroring-controller.k8s.io'
const SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
/** Source: MaxEndpointsPerSubset default, endpointslicemirroring/config v1.37. */
const ENDPOINTS_PER_SUBSET_MAX = 1000
const UNCOPIED_ANNOTATIONS = new Set([
  'endpoints.kubernetes.io/last-change-trigger-time',
  'kubectl.kubernetes.io/last-applied-configuration',
])

/** Shows Endpoints that users wrote by hand, for services without a selector, as EndpointSlices. */
export function startEndpointSliceMirroringController(deps: ControllerDeps): RunningController {
  const cache = deps.informers.informer(endpoints)
  const serviceCache = deps.informers.informer(services)
  const slices = deps.informers.informer(endpointslices)
  addServiceIndex(slices)
  const isManaged = (slice: EndpointSlice): boolean => slice.metadata.labels?.[MANAGED_BY_LABEL] === CONTROLLER
  return startReconciler(deps, {
    name: 'endpoint-slice-mirroring-controller',
    informer: cache,
    needs: [serviceCache, slices],
    watch({ queue }) {
      const enqueueSlice = (slice: Stored<EndpointSlice>): void => {
        const key = serviceKeyOf(slice)
        if (key !== undefined && isManaged(slice)) queue.add(key)
      }
      return [
        watchSelf(cache, queue),
        watchSelf(serviceCache, queue),
        slices.addHandler({ onUpdate: enqueueSlice, onDelete: enqueueSlice }),
      ]
    },
    async reconcile(key, context) {
      const source = cache.get(key)
      const service = serviceCache.get(key)
      const existing = slicesOf(slices, key).filter(isManaged)
      const isWanted =
        source !== undefined &&
        shouldMirror(source) &&
        service !== undefined &&
        Object.keys(service.spec?.selector ?? {}).length === 0
      if (!isWanted && existing.length === 0) return
      const changes = isWanted ? planMirror(source, existing) : { create: [], update: [], remove: [...existing] }
      await writeSlices(context, changes, { key, slices }).catch((error: unknown) => {
        if (!isStatus(error, 'NotFound')) throw error
      })
    },
  })
}

function shouldMirror({ metadata }: Endpoints): boolean {
  return metadata.labels?.[SKIP_MIRROR_LABEL] !== 'true' && metadata.annotations?.[LEADER_ANNOTATION] === undefined
}

/** Source: endpointslicemirroring/reconciler.go v1.37. */
export function planMirror(source: Stored<Endpoints>, existing: readonly Stored<EndpointSlice>[]): SliceChanges {
  const changes: SliceChanges = { create: [], update: [], remove: [] }
  for (const addressType of ['IPv4', 'IPv6']) {
    const packed = packSlices({
      existing: existing.filter((slice) => slice.addressType === addressType),
      desired: groupAddresses(source.subsets ?? [], addressType),
      endpointsPerSliceMax: ENDPOINTS_PER_SUBSET_MAX,
      build: (ports) => buildMirror(source, addressType, ports),
    })
    changes.create.push(...packed.create)
    changes.update.push(...packed.update)
    changes.remove.push(...packed.remove)
  }
  return changes
}

function groupAddresses(subsets: readonly EndpointSubset[], addressType: string): Map<string, PortGroup> {
  const groups = new Map<string, { ports: EndpointPort[]; endpoints: Map<string, Endpoint> }>()
  for (const subset of subsets) {
    const ports = (subset.ports ?? []).map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol === undefined ? {} : { appProtocol }),
    }))
    const ready = (subset.addresses ?? []).map((address) => buildEndpoint(address, { ready: true }))
    const notReady = (subset.notReadyAddresses ?? []).map((address) => buildEndpoint(address, { ready: false }))
    const own = [...ready, ...notReady]
      .slice(0, ENDPOINTS_PER_SUBSET_MAX)
      .filter(({ addresses }) => familyOf(addresses[0]!) === addressType)
    if (own.length === 0) continue
    const key = portsKey(ports)
    const group = groups.get(key) ?? { ports, endpoints: new Map<string, Endpoint>() }
    for (const endpoint of own) group.endpoints.set(endpointKey(endpoint), endpoint)
    groups.set(key, group)
  }
  return groups
}

function buildEndpoint(
  { ip, targetRef, nodeName, hostname }: EndpointAddress,
  conditions: { readonly ready: boolean },
): Endpoint {
  return {
    addresses: [ip],
    conditions,
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(hostname === undefined || hostname === '' ? {} : { hostname }),
  }
}

function buildMirror(source: Stored<Endpoints>, addressType: string, ports: readonly EndpointPort[]): EndpointSlice {
  const { name, namespace, labels, annotations = {} } = source.metadata
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: { ...labels, [SERVICE_NAME_LABEL]: name, [MANAGED_BY_LABEL]: CONTROLLER },
      annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => !UNCOPIED_ANNOTATIONS.has(key))),
      ownerReferences: [{ ...ownerReferenceTo(source), apiVersion: 'v1', kind: 'Endpoints' }],
    },
    addressType,
    endpoints: [],
    ports: [...ports],
  }
}
