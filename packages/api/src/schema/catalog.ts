import { RESOURCES } from '../generated/resources.ts'
import { schemaOfKind } from './builtin.ts'
import type { StructSchema } from './schema.ts'

/** One resource of one group version, as discovery tells it. */
export interface ResourceInfo {
  readonly group: string
  readonly version: string
  /** Plural, lower case. */
  readonly resource: string
  readonly singular: string
  readonly kind: string
  readonly listKind: string
  readonly namespaced: boolean
  /** As discovery lists them; empty when only subresources can be used. */
  readonly verbs: readonly string[]
  /** A delete answers with the object as it was, not with a Status. */
  readonly returnsDeleted: boolean
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: readonly SubresourceInfo[]
  /** Version that the store holds for this group and resource; other versions are converted. */
  readonly storageVersion: string
  /** Group that the store holds it under: its own, except `events.k8s.io` events, which are kept with the core group's. */
  readonly storageGroup: string
  /** The object's fields. */
  readonly schema: () => StructSchema
}

export interface SubresourceInfo {
  readonly name: string
  /** Kind that is read and written there, such as `autoscaling/v1 Scale`. */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly string[]
}

let catalog: readonly ResourceInfo[] | undefined
let byResource: Map<string, ResourceInfo> | undefined
let byKind: Map<string, ResourceInfo> | undefined

/**
 * Every built-in resource, each version of it on its own. The core group comes first, then the groups in the order of
 * upstream's `/apis`; within a group the preferred version is first. Built once; do not change it.
 */
export function resources(): readonly ResourceInfo[] {
  catalog ??= parseResources(RESOURCES)
  return catalog
}

/** The resource with this plural name, such as `pods`; `group` is `''` for the core group. */
export function findResource(group: string, version: string, resource: string): ResourceInfo | undefined {
  byResource ??= new Map(resources().map((info) => [`${info.group}/${info.version}/${info.resource}`, info]))
  return byResource.get(`${group}/${version}/${resource}`)
}

/** The resource whose objects are of this kind; undefined for kinds that are no resource, such as `Scale`. */
export function findKind(group: string, version: string, kind: string): ResourceInfo | undefined {
  byKind ??= new Map(resources().map((info) => [`${info.group}/${info.version}/${info.kind}`, info]))
  return byKind.get(`${group}/${version}/${kind}`)
}

interface Draft extends ResourceInfo {
  readonly subresources: SubresourceInfo[]
}

function parseResources(text: string): ResourceInfo[] {
  const list: Draft[] = []
  let group = ''
  let version = ''
  for (const line of text.trim().split('\n')) {
    if (line.startsWith('=')) [group, version] = line.slice(1).split('/') as [string, string]
    else if (line.startsWith(' ')) list.at(-1)!.subresources.push(parseSubresource(line))
    else list.push(parseResource(line, { group, version }))
  }
  return list
}

function parseResource(line: string, { group, version }: { group: string; version: string }): Draft {
  const [resource, singular, kind, scope, verbs, shortNames, categories, storageVersion] = line.split(' ') as Fields
  return {
    group,
    version,
    resource,
    singular,
    kind,
    listKind: `${kind}List`,
    namespaced: scope.startsWith('n'),
    verbs: parseList(verbs),
    returnsDeleted: scope.endsWith('d'),
    shortNames: parseList(shortNames),
    categories: parseList(categories),
    subresources: [],
    storageVersion,
    storageGroup: group === 'events.k8s.io' ? '' : group,
    schema: () => schemaOfKind(group, version, kind)!,
  }
}

type Fields = [string, string, string, string, string, string, string, string]

function parseSubresource(line: string): SubresourceInfo {
  const [, name, gvk, verbs] = line.split(' ') as [string, string, string, string]
  const [group, version, kind] = gvk.split('/') as [string, string, string]
  return { name, group, version, kind, verbs: parseList(verbs) }
}

function parseList(text: string): readonly string[] {
  return text === '-' ? [] : text.split(',')
}
