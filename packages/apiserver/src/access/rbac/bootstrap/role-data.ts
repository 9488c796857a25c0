import type { ObjectMeta } from '@centaurus/api/meta/v1'
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '@centaurus/api/rbac/v1'

const RBAC_GROUP = 'rbac.authorization.k8s.io'
const RBAC_API_VERSION = `${RBAC_GROUP}/v1`
/** Set to "false" by an operator who wants the server to leave a default role or binding alone. */
export const AUTO_UPDATE_ANNOTATION = 'rbac.authorization.kubernetes.io/autoupdate'
const BOOTSTRAPPING_LABEL = 'kubernetes.io/bootstrapping'
const AGGREGATE_LABEL = 'rbac.authorization.k8s.io/aggregate-to-'

/**
 * A default role, in short. A rule is `verbs | groups | resources` with `| names` behind where it is limited to some, or
 * `verbs | paths`; words are parted by spaces and the core group is called `core`.
 */
export interface RoleData {
  readonly rules?: readonly string[] | undefined
  /** Gathers the rules of all roles that say `aggregateTo` with this word. */
  readonly aggregates?: string | undefined
  readonly aggregateTo?: string | undefined
}

export function toClusterRole(name: string, data: RoleData): ClusterRole {
  const labels: Record<string, string> = { [BOOTSTRAPPING_LABEL]: 'rbac-defaults' }
  if (data.aggregateTo !== undefined) labels[`${AGGREGATE_LABEL}${data.aggregateTo}`] = 'true'
  const role: ClusterRole = {
    apiVersion: RBAC_API_VERSION,
    kind: 'ClusterRole',
    metadata: { ...defaultMetadata(name), labels },
  }
  if (data.aggregates !== undefined) {
    role.aggregationRule = {
      clusterRoleSelectors: [{ matchLabels: { [`${AGGREGATE_LABEL}${data.aggregates}`]: 'true' } }],
    }
  }
  role.rules = (data.rules ?? []).map(parseRule)
  return role
}

/** `key` is `namespace/name`. */
export function toRole(key: string, data: RoleData): Role {
  const { namespace, name } = splitKey(key)
  return {
    apiVersion: RBAC_API_VERSION,
    kind: 'Role',
    metadata: { ...defaultMetadata(name), namespace },
    rules: (data.rules ?? []).map(parseRule),
  }
}

/** `text` is `kind:role -> subjects`. */
export function toClusterRoleBinding(name: string, text: string): ClusterRoleBinding {
  return {
    apiVersion: RBAC_API_VERSION,
    kind: 'ClusterRoleBinding',
    metadata: defaultMetadata(name),
    ...parseBinding(text),
  }
}

export function toRoleBinding(key: string, text: string): RoleBinding {
  const { namespace, name } = splitKey(key)
  return {
    apiVersion: RBAC_API_VERSION,
    kind: 'RoleBinding',
    metadata: { ...defaultMetadata(name), namespace },
    ...parseBinding(text),
  }
}

/** Reads a rule of {@link RoleData}. */
export function parseRule(text: string): PolicyRule {
  const [verbs = [], second = [], resources, resourceNames] = text.split(' | ').map((part) => part.split(' '))
  if (resources === undefined) return { nonResourceURLs: second, verbs }
  const apiGroups = second.map((group) => (group === 'core' ? '' : group))
  return { apiGroups, resources, verbs, ...(resourceNames === undefined ? {} : { resourceNames }) }
}

function parseBinding(text: string): { roleRef: RoleRef; subjects: Subject[] } {
  const [role = '', subjects = ''] = text.split(' -> ')
  const [kind = '', name = ''] = splitOnce(role)
  return {
    roleRef: { apiGroup: RBAC_GROUP, kind, name },
    subjects: subjects
      .split(' ')
      .filter((subject) => subject !== '')
      .map(parseSubject),
  }
}

function parseSubject(text: string): Subject {
  const [kind, rest] = splitOnce(text)
  if (kind !== 'ServiceAccount') return { apiGroup: RBAC_GROUP, kind, name: rest }
  const [namespace, name] = splitOnce(rest)
  return { kind, name, namespace }
}

function splitOnce(text: string): [string, string] {
  const colon = text.indexOf(':')
  return [text.slice(0, colon), text.slice(colon + 1)]
}

function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/')
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

function defaultMetadata(name: string): ObjectMeta {
  return {
    name,
    annotations: { [AUTO_UPDATE_ANNOTATION]: 'true' },
    labels: { [BOOTSTRAPPING_LABEL]: 'rbac-defaults' },
  }
}
