import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '../../generated/types/rbac/v1.ts'
import { checkDnsSubdomain, checkPathSegment } from '../../meta/names.ts'
import { FieldPath, invalid, notSupported, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkRequired, checkRequiredName, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const GROUP = 'rbac.authorization.k8s.io'
const createdAt = [nameColumn, column('Created At', 'When the object was created', { type: 'date' })]
const bindingColumns = [
  nameColumn,
  column('Role', 'Role that is granted'),
  ageColumn,
  column('Users', 'Users that get the role', { wide: true }),
  column('Groups', 'Groups that get the role', { wide: true }),
  column('ServiceAccounts', 'Service accounts that get the role', { wide: true }),
]

/** Source of this file: pkg/apis/rbac/{v1/defaults.go,validation/validation.go} v1.37. */
export const roleBehavior: KindBehavior<Role> = {
  nameRule: checkPathSegment,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  validate: ({ rules }) => validateRules(rules, { namespaced: true }),
  columns: createdAt,
  row: ({ metadata }) => [metadata.name, metadata.creationTimestamp],
}

export const clusterRoleBehavior: KindBehavior<ClusterRole> = {
  nameRule: checkPathSegment,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  validate: validateClusterRole,
  columns: createdAt,
  row: ({ metadata }) => [metadata.name, metadata.creationTimestamp],
}

export const roleBindingBehavior: KindBehavior<RoleBinding> = bindingBehavior({ namespaced: true })
export const clusterRoleBindingBehavior: KindBehavior<ClusterRoleBinding> = bindingBehavior({ namespaced: false })

interface Scope {
  readonly namespaced: boolean
}

function bindingBehavior(scope: Scope): KindBehavior<RoleBinding> {
  return {
    nameRule: checkPathSegment,
    hasGeneration: false,
    allowCreateOnUpdate: true,
    setDefaults: ({ roleRef, subjects }) => {
      if (roleRef !== undefined) roleRef.apiGroup = roleRef.apiGroup || GROUP
      for (const subject of subjects ?? []) defaultSubject(subject)
    },
    validate: ({ roleRef, subjects }) => [
      ...validateRoleRef(roleRef, scope),
      ...(subjects ?? []).flatMap((subject, i) => validateSubject(subject, new FieldPath('subjects').index(i), scope)),
    ],
    validateUpdate: (object, old) => checkImmutable(object.roleRef, old.roleRef, new FieldPath('roleRef')),
    columns: bindingColumns,
    row: ({ metadata, roleRef, subjects }, nowMs) => [
      metadata.name,
      `${roleRef.kind}/${roleRef.name}`,
      formatAge(metadata.creationTimestamp, nowMs),
      ...['User', 'Group', 'ServiceAccount'].map((kind) => subjectNames(subjects, kind)),
    ],
  }
}

function defaultSubject(subject: Subject): void {
  if (subject.apiGroup || (subject.kind !== 'User' && subject.kind !== 'Group')) return
  subject.apiGroup = GROUP
}

function subjectNames(subjects: readonly Subject[] | undefined, kind: string): string {
  const own = (subjects ?? []).filter((subject) => subject.kind === kind)
  return own.map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name)).join(', ')
}

function validateClusterRole({ rules, aggregationRule }: Readonly<ClusterRole>): FieldError[] {
  const errors = validateRules(rules, { namespaced: false })
  if (aggregationRule === undefined) return errors
  const path = new FieldPath('aggregationRule.clusterRoleSelectors')
  const selectors = aggregationRule.clusterRoleSelectors ?? []
  if (selectors.length === 0) {
    errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'))
  }
  return [...errors, ...selectors.flatMap((selector, i) => validateLabelSelector(selector, path.index(i)))]
}

function validateRules(rules: readonly PolicyRule[] | undefined, scope: Scope): FieldError[] {
  return (rules ?? []).flatMap((rule, i) => validateRule(rule, new FieldPath('rules').index(i), scope))
}

function validateRule(rule: PolicyRule, path: FieldPath, { namespaced }: Scope): FieldError[] {
  const { apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule
  const verbs = rule.verbs ?? []
  const errors: FieldError[] = []
  if (verbs.length === 0) errors.push(required(path.child('verbs'), 'verbs must contain at least one value'))
  if (nonResourceURLs.length > 0) {
    const at = path.child('nonResourceURLs')
    if (namespaced) errors.push(invalid(at, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'))
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      errors.push(invalid(at, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'))
    }
    return errors
  }
  if (apiGroups.length === 0)
    errors.push(required(path.child('apiGroups'), 'resource rules must supply at least one api group'))
  if (resources.length === 0)
    errors.push(required(path.child('resources'), 'resource rules must supply at least one resource'))
  return errors
}

function validateRoleRef(ref: RoleRef | undefined, { namespaced }: Scope): FieldError[] {
  const path = new FieldPath('roleRef')
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  const errors = ref?.apiGroup === GROUP ? [] : [notSupported(path.child('apiGroup'), ref?.apiGroup ?? '', [GROUP])]
  if (!kinds.includes(ref?.kind ?? '')) errors.push(notSupported(path.child('kind'), ref?.kind ?? '', kinds))
  return [...errors, ...checkRequiredName(ref?.name, path.child('name'), checkPathSegment)]
}

function validateSubject(subject: Subject, path: FieldPath, { namespaced }: Scope): FieldError[] {
  const { kind, name, namespace, apiGroup = '' } = subject
  const errors = checkRequired(name, path.child('name'))
  const group = path.child('apiGroup')
  switch (kind) {
    case 'ServiceAccount':
      if (name) errors.push(...invalidFor(path.child('name'), name, checkDnsSubdomain(name)))
      if (apiGroup !== '') errors.push(notSupported(group, apiGroup, ['']))
      if (!namespaced && !namespace) errors.push(required(path.child('namespace')))
      return errors
    case 'User':
    case 'Group':
      return apiGroup === GROUP ? errors : [...errors, notSupported(group, apiGroup, [GROUP])]
    default:
      return [...errors, notSupported(path.child('kind'), kind ?? '', ['ServiceAccount', 'User', 'Group'])]
  }
}
