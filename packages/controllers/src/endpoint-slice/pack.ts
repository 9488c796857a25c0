import { deepEqual, type Stored } from '@centaurus/api'
import type { Endpoint, EndpointPort, EndpointSlice } from '@centaurus/api/discovery/v1'

/** Endpoints that have the same ports, and so may share a slice. */
export interface PortGroup {
  readonly ports: readonly EndpointPort[]
  /** By what tells endpoints apart: see {@link endpointKey}. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
}

export interface SliceChanges {
  readonly create: EndpointSlice[]
  readonly update: { readonly from: Stored<EndpointSlice>; readonly to: EndpointSlice }[]
  readonly remove: Stored<EndpointSlice>[]
}

export interface PackOptions {
  readonly existing: readonly Stored<EndpointSlice>[]
  /** By {@link portsKey}. */
  readonly desired: ReadonlyMap<string, PortGroup>
  readonly endpointsPerSliceMax: number
  /** An empty slice with the metadata that each must have. */
  readonly build: (ports: readonly EndpointPort[]) => EndpointSlice
}

/** Identity of a group of ports, whatever their order. */
export function portsKey(ports: readonly EndpointPort[]): string {
  const lines = ports.map(({ name, port, protocol, appProtocol }) =>
    JSON.stringify([name ?? '', port ?? null, protocol ?? 'TCP', appProtocol ?? '']),
  )
  return lines.toSorted().join(';')
}

/** Source: EndpointSet hashes addresses, hostname, target, node and zone (endpointslice/util v0.37); conditions may change in place. */
export function endpointKey({ addresses, hostname, targetRef, nodeName, zone }: Endpoint): string {
  return JSON.stringify([
    addresses.toSorted(),
    hostname ?? '',
    targetRef?.kind,
    targetRef?.namespace,
    targetRef?.name,
    targetRef?.uid,
    nodeName ?? '',
    zone ?? '',
  ])
}

/**
 * The fewest writes that show the desired endpoints: endpoints stay in the slice where they are, new ones fill slices that change anyway,
 * then the fullest unchanged slice with room for all of them, then new slices. Source: reconcileByPortMapping, endpointslice/reconciler.go v0.37.
 */
export function packSlices(options: PackOptions): SliceChanges {
  const changes: SliceChanges = { create: [], update: [], remove: [] }
  const byPorts = Map.groupBy(options.existing, (slice) => portsKey(slice.ports ?? []))
  for (const [key, group] of options.desired) packGroup(group, byPorts.get(key) ?? [], { options, changes })
  for (const [key, slices] of byPorts) if (!options.desired.has(key)) changes.remove.push(...slices)
  reuseNames(changes)
  return changes
}

interface PlacedSlice {
  readonly from: Stored<EndpointSlice>
  endpoints: Endpoint[]
  isChanged: boolean
}

interface PackContext {
  readonly options: PackOptions
  readonly changes: SliceChanges
}

function packGroup(
  group: PortGroup,
  existing: readonly Stored<EndpointSlice>[],
  { options, changes }: PackContext,
): void {
  const wanted = new Map(group.endpoints)
  const template = options.build(group.ports)
  const placed = existing.map((from) => keepEndpoints(from, wanted, template))
  fillChanged(placed, wanted, options.endpointsPerSliceMax)
  while (wanted.size > 0) {
    const target =
      wanted.size < options.endpointsPerSliceMax
        ? fullestWithRoom(placed, wanted.size, options.endpointsPerSliceMax)
        : undefined
    if (target === undefined) {
      changes.create.push({ ...template, endpoints: take(wanted, options.endpointsPerSliceMax) })
      continue
    }
    target.endpoints.push(...take(wanted, wanted.size))
    target.isChanged = true
  }
  for (const { from, endpoints, isChanged } of placed) {
    if (endpoints.length === 0) changes.remove.push(from)
    else if (isChanged) changes.update.push({ from, to: mergeMetadata(from, template, endpoints) })
  }
}

function keepEndpoints(
  from: Stored<EndpointSlice>,
  wanted: Map<string, Endpoint>,
  template: EndpointSlice,
): PlacedSlice {
  const endpoints: Endpoint[] = []
  let isChanged = !deepEqual(from.metadata.labels ?? {}, template.metadata.labels ?? {})
  for (const old of from.endpoints ?? []) {
    const key = endpointKey(old)
    const next = wanted.get(key)
    if (next === undefined) {
      isChanged = true
      continue
    }
    wanted.delete(key)
    endpoints.push(next)
    if (!deepEqual(old, next)) isChanged = true
  }
  return { from, endpoints, isChanged }
}

/** A slice that is written anyway costs nothing more. */
function fillChanged(placed: readonly PlacedSlice[], wanted: Map<string, Endpoint>, max: number): void {
  const changed = placed.filter((slice) => slice.isChanged && slice.endpoints.length > 0)
  for (const slice of changed.toSorted((a, b) => b.endpoints.length - a.endpoints.length)) {
    slice.endpoints.push(...take(wanted, max - slice.endpoints.length))
  }
}

function fullestWithRoom(placed: readonly PlacedSlice[], count: number, max: number): PlacedSlice | undefined {
  let best: PlacedSlice | undefined
  for (const slice of placed) {
    const size = slice.endpoints.length
    if (slice.isChanged || size === 0 || size + count > max) continue
    if (best === undefined || size > best.endpoints.length) best = slice
  }
  return best
}

function take(wanted: Map<string, Endpoint>, count: number): Endpoint[] {
  const taken: Endpoint[] = []
  for (const [key, endpoint] of wanted) {
    if (taken.length >= count) break
    wanted.delete(key)
    taken.push(endpoint)
  }
  return taken
}

/** A slice that goes lends its name to one that comes: one write instead of two. */
function reuseNames(changes: SliceChanges): void {
  for (
    let next = changes.create.at(-1);
    next !== undefined && changes.remove.length > 0;
    next = changes.create.at(-1)
  ) {
    const wantedType = next.addressType
    const at = changes.remove.findIndex((slice) => slice.addressType === wantedType)
    if (at < 0) return
    const [from] = changes.remove.splice(at, 1)
    changes.create.pop()
    changes.update.push({ from: from!, to: mergeMetadata(from!, next, next.endpoints) })
  }
}

function mergeMetadata(
  from: Stored<EndpointSlice>,
  template: EndpointSlice,
  endpoints: EndpointSlice['endpoints'],
): EndpointSlice {
  const { labels, annotations = {}, ownerReferences } = template.metadata
  const metadata = {
    ...from.metadata,
    labels,
    annotations: { ...from.metadata.annotations, ...annotations },
    ownerReferences,
  }
  return { ...template, metadata, endpoints }
}
