import {
  isRecord,
  NAMESPACE_ANNOTATION,
  NAMESPACE_LENGTH_MAX,
  OBJECT_NAME_LENGTH_MAX,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type KubeObject,
} from '@centaurus/api'
import { changeAt, mapChanged, type Path } from './change-at.ts'
import { NAMESPACES, referencesOf, renamedResource, type Reference, type ResourceKey } from './references.ts'

const EVENTS: ResourceKey = 'core/events'
const PODS: ResourceKey = 'core/pods'
/** Where a kubelet says in words why a container waits, and names its pod. */
const POD_MESSAGES: readonly Path[] = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'].map(
  (list) => ['status', list, '*', 'state', 'waiting', 'message'],
)

/** How one tenant's names are shown, and read again. */
export interface TenantNames {
  readonly tenant: string
  /** Name in the view of a namespace, or of an object without namespace. */
  qualify(resource: ResourceKey, name: string): string
  /** The tenant's own name for it. What is not a qualified name of this tenant stays as it is. */
  bare(resource: ResourceKey, qualified: string): string
}

/**
 * A tenant's object as the view over all tenants shows it: qualified names and references, and the annotations that say whose it
 * is. `object` is in the stored form and is not changed; the result shares with it whatever is the same.
 */
export function toQualified<T extends KubeObject>(resource: ResourceKey, object: T, names: TenantNames): T {
  const { metadata } = object
  const { namespace, name } = metadata
  const annotations: Record<string, string> = { ...metadata.annotations, [TENANT_ANNOTATION]: names.tenant }
  const shown = { ...metadata, annotations }
  if (namespace !== undefined && namespace !== '') {
    annotations[NAMESPACE_ANNOTATION] = namespace
    shown.namespace = names.qualify(NAMESPACES, namespace)
  } else if (name !== undefined) shown.name = names.qualify(resource, name)
  if (resource === NAMESPACES) shown.labels = { ...metadata.labels, [TENANT_ANNOTATION]: names.tenant }
  const rename: Rename = (of, text) => names.qualify(of, text)
  renameOwners(shown, rename)
  const renames: Renames = { rename, select: (selector) => selectTenant(selector, names.tenant) }
  const told = resource === PODS ? renameInMessages(object, namespace, shown.namespace) : object
  return renameReferences(resource, { ...told, metadata: shown }, renames)
}

/** Inverse of {@link toQualified}: what the tenant's store holds for an object that came through the view. */
export function fromQualified<T extends KubeObject>(resource: ResourceKey, object: T, names: TenantNames): T {
  const rename: Rename = (of, text) => names.bare(of, text)
  const metadata = { ...object.metadata }
  const { namespace, name } = metadata
  if (namespace !== undefined && namespace !== '') metadata.namespace = rename(NAMESPACES, namespace)
  else if (name !== undefined) metadata.name = rename(resource, name)
  if (metadata.annotations !== undefined) {
    const { [TENANT_ANNOTATION]: _tenant, [NAMESPACE_ANNOTATION]: _namespace, ...own } = metadata.annotations
    if (Object.keys(own).length > 0) metadata.annotations = own
    else delete metadata.annotations
  }
  if (resource === NAMESPACES && metadata.labels !== undefined) {
    const { [TENANT_ANNOTATION]: _tenant, ...own } = metadata.labels
    if (Object.keys(own).length > 0) metadata.labels = own
    else delete metadata.labels
  }
  renameOwners(metadata, rename)
  const own = resource === EVENTS ? withBareMessage(object, names.tenant) : object
  const told = resource === PODS ? renameInMessages(own, namespace, metadata.namespace) : own
  return renameReferences(resource, { ...told, metadata }, { rename, select: selectAny })
}

/** Controllers tell of what they see; people read it who know their names without the tenant's. */
function withBareMessage<T extends KubeObject>(event: T, tenant: string): T {
  const { message } = event as { message?: unknown }
  if (tenant === SYSTEM_TENANT || typeof message !== 'string' || !message.includes(`--${tenant}`)) return event
  // names of tenants hold letters, digits and dashes alone: nothing in them means more in a pattern
  return { ...event, message: message.replaceAll(new RegExp(`(?<=[a-z0-9])--${tenant}(?![a-z0-9-])`, 'g'), '') }
}

/**
 * A pod whose status names it with another namespace, and back again by the same: a kubelet that does not read what it wrote would write it again.
 * Source: format.Pod, pkg/kubelet/util/format (v1.37).
 */
function renameInMessages<T extends KubeObject>(pod: T, from = '', to = ''): T {
  if (from === to) return pod
  const { name, uid } = pod.metadata
  const seen = `pod=${name}_${from}(${uid})`
  const rename = (message: unknown): unknown =>
    typeof message === 'string' && message.includes(seen)
      ? message.replaceAll(seen, `pod=${name}_${to}(${uid})`)
      : message
  let result: unknown = pod
  for (const path of POD_MESSAGES) result = changeAt(result, path, rename)
  return result as T
}

/** Longest name that the view may give to an object of the resource. */
export function qualifiedLengthMax(resource: ResourceKey): number {
  return resource === NAMESPACES ? NAMESPACE_LENGTH_MAX : OBJECT_NAME_LENGTH_MAX
}

type Rename = (resource: ResourceKey, name: string) => string
type Selector = Record<string, unknown>

interface Renames {
  readonly rename: Rename
  /** What becomes of a selector of namespaces. */
  readonly select: (selector: Selector) => Selector
}

/** Namespaces in the view have a label that says whose they are; a tenant's selector means its own. */
function selectTenant(selector: Selector, tenant: string): Selector {
  const expressions = Array.isArray(selector['matchExpressions']) ? (selector['matchExpressions'] as unknown[]) : []
  const own = { key: TENANT_ANNOTATION, operator: 'In', values: [tenant] }
  return { ...selector, matchExpressions: [...expressions, own] }
}

function selectAny({ matchExpressions, ...rest }: Selector): Selector {
  if (!Array.isArray(matchExpressions)) return rest
  const kept = matchExpressions.filter((expression) => !isRecord(expression) || expression['key'] !== TENANT_ANNOTATION)
  return kept.length === 0 ? rest : { ...rest, matchExpressions: kept }
}

/** Owners in the same namespace are named alike; only those without a namespace are not. */
function renameOwners(metadata: KubeObject['metadata'], rename: Rename): void {
  const owners = metadata.ownerReferences
  if (owners === undefined || owners.length === 0) return
  const renamed = mapChanged(owners, (owner) => {
    const resource = renamedResource(owner.apiVersion, owner.kind)
    if (resource === undefined) return owner
    const name = rename(resource, owner.name)
    return name === owner.name ? owner : { ...owner, name }
  })
  metadata.ownerReferences = renamed as typeof owners // nobody changes the list of an object that is shared
}

function renameReferences<T extends KubeObject>(resource: ResourceKey, object: T, renames: Renames): T {
  let result: unknown = object
  for (const reference of referencesOf(resource)) {
    result = changeAt(result, reference.path, (value) => renameOne(reference, value, renames))
  }
  return result as T
}

function renameOne(reference: Reference, value: unknown, { rename, select }: Renames): unknown {
  if (reference.type === 'name') {
    return typeof value === 'string' && value !== '' ? rename(reference.resource, value) : value
  }
  if (!isRecord(value)) return value
  if (reference.type === 'namespaces') return select(value)
  return reference.type === 'role' ? renameRole(value, rename) : renameObject(value, rename)
}

function renameRole(value: Record<string, unknown>, rename: Rename): Record<string, unknown> {
  if (value['kind'] !== 'ClusterRole') return value
  return withText(value, 'name', (name) => rename('rbac.authorization.k8s.io/clusterroles', name))
}

function renameObject(value: Record<string, unknown>, rename: Rename): Record<string, unknown> {
  const { apiVersion, kind, namespace } = value
  if (typeof namespace === 'string' && namespace !== '') {
    return withText(value, 'namespace', (text) => rename(NAMESPACES, text))
  }
  // A claim reference often says neither kind nor version; it always has a namespace.
  const resource = renamedResource(typeof apiVersion === 'string' ? apiVersion : 'v1', String(kind ?? ''))
  return resource === undefined ? value : withText(value, 'name', (name) => rename(resource, name))
}

function withText(
  value: Record<string, unknown>,
  member: string,
  change: (text: string) => string,
): Record<string, unknown> {
  const text = value[member]
  if (typeof text !== 'string' || text === '') return value
  const changed = change(text)
  return changed === text ? value : { ...value, [member]: changed }
}
