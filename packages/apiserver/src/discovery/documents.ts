import { createHash } from 'node:crypto'
import type { ResourceInfo, SubresourceInfo } from '@centaurus/api'
import type { ResourceDefinition } from '../resource/registry.ts'

/** A group of the API with its versions, the preferred one first. */
export interface DiscoveredGroup {
  /** `''` for the core group. */
  readonly name: string
  readonly versions: readonly DiscoveredVersion[]
}

export interface DiscoveredVersion {
  readonly version: string
  readonly resources: readonly ResourceDefinition[]
}

/** Versions of the discovery API itself. */
export type DiscoveryVersion = 'v2' | 'v2beta1'

/**
 * What is served, by group and version. Built-in groups keep the catalogue's order, which is upstream's; groups of custom resources
 * follow by name, as their equal priority has it, with versions in the order of {@link compareVersions}.
 */
export function groupResources(
  definitions: readonly ResourceDefinition[],
  isCustom: (definition: ResourceDefinition) => boolean,
): DiscoveredGroup[] {
  const builtIn = collectGroups(definitions.filter((definition) => !isCustom(definition)))
  const custom = collectGroups(definitions.filter(isCustom))
  for (const [name, versions] of [...custom].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const found = builtIn.get(name) ?? new Map<string, ResourceDefinition[]>()
    const sorted = [...versions].toSorted(([a], [b]) => compareVersions(a, b))
    for (const [version, resources] of sorted) found.set(version, [...(found.get(version) ?? []), ...resources])
    builtIn.set(name, found)
  }
  return [...builtIn].map(([name, versions]) => ({
    name,
    versions: [...versions].map(([version, resources]) => ({ version, resources: sortByName(resources) })),
  }))
}

/** `v2` before `v1` before `v1beta1` before `v1alpha1`, then others by name. Source: apimachinery pkg/version CompareKubeAwareVersionStrings. */
export function compareVersions(a: string, b: string): number {
  const left = rankVersion(a)
  const right = rankVersion(b)
  if (left === undefined || right === undefined) {
    if (left === undefined && right === undefined) return a < b ? -1 : Number(a > b)
    return left === undefined ? 1 : -1
  }
  return right.stage - left.stage || right.major - left.major || right.minor - left.minor
}

/** Answer of `/apis`. */
export function groupList(groups: readonly DiscoveredGroup[]): object {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.filter(({ name }) => name !== '').map(describeGroup) }
}

/** Answer of `/apis/<group>`. */
export function groupDocument(group: DiscoveredGroup): object {
  return { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(group) }
}

/** Answer of `/api`. */
export function coreVersions(group: DiscoveredGroup, serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: group.versions.map(({ version }) => version),
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  }
}

/** Answer of `/api/v1` and `/apis/<group>/<version>`. */
export function resourceList(group: string, { version, resources }: DiscoveredVersion): object {
  const listed = resources.flatMap(({ info, storage }) => [
    ...(info.verbs.length === 0 ? [] : [describeResource(info, storage.group)]),
    ...info.subresources.map((subresource) => describeSubresource(info, subresource)),
  ])
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? version : `${group}/${version}`,
    resources: listed.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

/** Aggregated discovery of `/api` (the core group) or `/apis` (all others). Source: apidiscovery.k8s.io/v2 APIGroupDiscoveryList. */
export function aggregatedList(groups: readonly DiscoveredGroup[], version: DiscoveryVersion): object {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: { ...(group.name === '' ? {} : { name: group.name }), creationTimestamp: null },
      versions: group.versions.map((entry) => ({
        version: entry.version,
        resources: entry.resources.map(({ info }) => aggregateResource(info)),
        freshness: 'Current',
      })),
    })),
  }
}

/** Tells clients that keep copies whether two names are one resource in the store. Source: apiserver pkg/endpoints/discovery/storageversionhash.go. */
export function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64')
}

function collectGroups(definitions: readonly ResourceDefinition[]): Map<string, Map<string, ResourceDefinition[]>> {
  const groups = new Map<string, Map<string, ResourceDefinition[]>>()
  for (const definition of definitions) {
    const { group, version } = definition.info
    let versions = groups.get(group)
    if (versions === undefined) groups.set(group, (versions = new Map()))
    const found = versions.get(version)
    if (found === undefined) versions.set(version, [definition])
    else found.push(definition)
  }
  return groups
}

function sortByName(definitions: readonly ResourceDefinition[]): ResourceDefinition[] {
  return definitions.toSorted((a, b) => (a.info.resource < b.info.resource ? -1 : 1))
}

const STAGES = ['alpha', 'beta', '']

function rankVersion(version: string): { stage: number; major: number; minor: number } | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version)
  if (match === null) return undefined
  return { stage: STAGES.indexOf(match[2] ?? ''), major: Number(match[1]), minor: Number(match[3] ?? 0) }
}

function describeGroup({ name, versions }: DiscoveredGroup): object {
  const listed = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }))
  return { name, versions: listed, preferredVersion: listed[0] }
}

interface ListedResource {
  readonly name: string
}

function describeResource(info: ResourceInfo, storageGroup: string): ListedResource {
  return {
    name: info.resource,
    singularName: info.singular,
    namespaced: info.namespaced,
    kind: info.kind,
    verbs: info.verbs,
    ...listIfAny('shortNames', info.shortNames),
    ...listIfAny('categories', info.categories),
    ...(info.verbs.includes('watch')
      ? { storageVersionHash: storageVersionHash(storageGroup, info.storageVersion, info.kind) }
      : {}),
  } as ListedResource
}

function describeSubresource(info: ResourceInfo, subresource: SubresourceInfo): ListedResource {
  const isForeign = subresource.group !== info.group || subresource.version !== info.version
  return {
    name: `${info.resource}/${subresource.name}`,
    singularName: '',
    namespaced: info.namespaced,
    ...(isForeign ? { group: subresource.group, version: subresource.version } : {}),
    kind: subresource.kind,
    verbs: subresource.verbs,
  } as ListedResource
}

function aggregateResource(info: ResourceInfo): object {
  const { group, version, kind } = info
  return {
    resource: info.resource,
    responseKind: { group, version, kind },
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...listIfAny('shortNames', info.shortNames),
    ...listIfAny('categories', info.categories),
    ...listIfAny(
      'subresources',
      info.subresources.map((subresource) => ({
        subresource: subresource.name,
        responseKind: { group: subresource.group, version: subresource.version, kind: subresource.kind },
        verbs: subresource.verbs,
      })),
    ),
  }
}

function listIfAny(name: string, list: readonly unknown[]): object {
  return list.length === 0 ? {} : { [name]: list }
}
