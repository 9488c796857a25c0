import type { GroupVersionKind, OpenApiDocument } from './openapi.ts'

/** What the paths of the published description say of one resource in one group version. */
export interface ResourceFacts {
  readonly group: string
  readonly version: string
  /** Plural, lower case, such as `pods`. */
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  /** Such as `status`, `scale`, `binding`, each with its kind and verbs. */
  readonly subresources: readonly SubresourceFacts[]
  /** Key into the document's definitions. */
  readonly definition: string
  /** True when the kind belongs to this group version (so not for a foreign kind under a subresource). */
  readonly kindOwner: boolean
}

export interface SubresourceFacts {
  readonly name: string
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly string[]
}

const ROOT = /^\/(?:api\/(?<core>v\w+)|apis\/(?<group>[^/]+)\/(?<version>v\w+))\/(?<rest>.+)$/
const ACTION_VERBS: Record<string, string> = {
  get: 'get',
  list: 'list',
  post: 'create',
  put: 'update',
  patch: 'patch',
  delete: 'delete',
  deletecollection: 'deletecollection',
  connect: 'connect',
}

interface Draft {
  group: string
  version: string
  resource: string
  namespaced: boolean
  gvk: GroupVersionKind | undefined
  verbs: Set<string>
  subresources: Map<string, { gvk: GroupVersionKind; verbs: Set<string> }>
}

/** Every resource that the paths name, ordered by group, version and name. */
export function collectResources(document: OpenApiDocument): ResourceFacts[] {
  const drafts = new Map<string, Draft>()
  for (const [path, operations] of Object.entries(document.paths)) addPath(drafts, path, operations)
  const byGvk = new Map<string, string>()
  for (const [name, schema] of Object.entries(document.definitions)) {
    for (const gvk of schema['x-kubernetes-group-version-kind'] ?? []) {
      const key = gvkKey(gvk)
      if (!byGvk.has(key)) byGvk.set(key, name)
    }
  }
  return [...drafts.values()]
    .filter((draft) => draft.gvk !== undefined)
    .map((draft) => toFacts(draft, byGvk))
    .sort((a, b) => compare(sortKey(a), sortKey(b)))
}

function addPath(drafts: Map<string, Draft>, path: string, operations: OpenApiDocument['paths'][string]): void {
  const groups = ROOT.exec(path)?.groups
  if (groups === undefined || groups['rest']!.startsWith('watch/')) return
  let rest = groups['rest']!
  const namespaced = rest.startsWith('namespaces/{namespace}/')
  if (namespaced) rest = rest.slice('namespaces/{namespace}/'.length)
  // `namespaces/{name}/status`: the namespace is the object; `{namespace}` never names it.
  const [resource, placeholder, ...sub] = rest.split('/')
  if (resource === undefined || (placeholder !== undefined && placeholder !== '{name}')) return
  const group = groups['group'] ?? ''
  const version = groups['version'] ?? groups['core']!
  const key = `${group}/${version}/${resource}`
  const draft = drafts.get(key) ?? {
    group,
    version,
    resource,
    namespaced: false,
    gvk: undefined,
    verbs: new Set<string>(),
    subresources: new Map(),
  }
  draft.namespaced ||= namespaced
  drafts.set(key, draft)
  for (const operation of Object.values(operations)) {
    const action = operation['x-kubernetes-action']
    const gvk = operation['x-kubernetes-group-version-kind']
    if (action === undefined || gvk === undefined) continue
    const verb = ACTION_VERBS[action]
    if (verb === undefined) continue
    addOperation(draft, { sub: sub[0], verb, gvk })
  }
}

function addOperation(
  draft: Draft,
  { sub, verb, gvk }: { sub: string | undefined; verb: string; gvk: GroupVersionKind },
): void {
  if (sub === undefined || sub === '{path}') {
    if (verb === 'connect') return
    draft.gvk = gvk
    draft.verbs.add(verb)
    if (verb === 'list') draft.verbs.add('watch')
    return
  }
  const entry = draft.subresources.get(sub) ?? { gvk, verbs: new Set<string>() }
  entry.verbs.add(verb)
  draft.subresources.set(sub, entry)
}

function toFacts(draft: Draft, byGvk: Map<string, string>): ResourceFacts {
  const gvk = draft.gvk!
  const subresources = [...draft.subresources]
    .map(([name, { gvk: sub, verbs }]) => ({ name, ...sub, verbs: [...verbs].sort() }))
    .sort((a, b) => compare(a.name, b.name))
  return {
    group: draft.group,
    version: draft.version,
    resource: draft.resource,
    kind: gvk.kind,
    namespaced: draft.namespaced,
    verbs: [...draft.verbs].sort(),
    subresources,
    definition: byGvk.get(gvkKey(gvk)) ?? '',
    kindOwner: gvk.group === draft.group && gvk.version === draft.version,
  }
}

function gvkKey({ group, version, kind }: GroupVersionKind): string {
  return `${group}/${version}/${kind}`
}

function sortKey({ group, version, resource }: ResourceFacts): string {
  return `${group}/${version}/${resource}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

/** `group/version/resource` of those whose deletion answers with the object and not with a Status. */
export function collectReturnsDeleted(document: OpenApiDocument): Set<string> {
  const names = new Set<string>()
  for (const [path, operations] of Object.entries(document.paths)) {
    const operation = operations['delete']
    const groups = ROOT.exec(path)?.groups
    if (operation?.['x-kubernetes-action'] !== 'delete' || groups === undefined) continue
    if (operation.responses?.['200']?.schema?.$ref?.endsWith('.Status') !== false) continue
    const resource = groups['rest']!.split('/').at(-2)!
    names.add(`${groups['group'] ?? ''}/${groups['version'] ?? groups['core']!}/${resource}`)
  }
  return names
}
