import type {
  ResourceQuota,
  ResourceQuotaSpec,
  ScopedResourceSelectorRequirement,
} from '../../generated/types/core/v1.ts'
import { FieldPath, invalid, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { validateResourceAmount, validateResourceName } from '../pod/validate-resources.ts'
import { IMMUTABLE, tryQuantity } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { isStandardQuotaResource } from '../shared/resource-names.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const POD_SCOPES = ['Terminating', 'NotTerminating', 'NotBestEffort', 'PriorityClass', 'CrossNamespacePodAffinity']
const SCOPES = [...POD_SCOPES, 'BestEffort', 'VolumeAttributesClass']
const COMPUTE = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory']
const CLAIM_RESOURCES = ['persistentvolumeclaims', 'requests.storage']
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const

/** Resource quotas. Source: ValidateResourceQuota, pkg/apis/core/validation; printResourceQuota, pkg/printers v1.37. */
export const resourceQuotaBehavior: KindBehavior<ResourceQuota> = {
  hasGeneration: false,
  setDefaults: ({ spec, status }) => {
    for (const list of [spec?.hard, status?.hard, status?.used]) roundUpResources(list)
  },
  validate: ({ spec }) => validateSpec(spec ?? {}),
  validateUpdate: ({ spec }, { spec: old }) => {
    const now = new Set(spec?.scopes)
    const before = new Set(old?.scopes)
    const isSame = now.size === before.size && [...now].every((scope) => before.has(scope))
    return isSame ? [] : [invalid(new FieldPath('spec.scopes'), spec?.scopes ?? [], IMMUTABLE)]
  },
  validateStatusUpdate: ({ status }) =>
    (['hard', 'used'] as const).flatMap((list) => validateAmounts(status?.[list], new FieldPath('status').child(list))),
  columns: [
    nameColumn,
    column('Request', 'What is used and may be requested'),
    column('Limit', 'What is used and may be the limit'),
    ageColumn,
  ],
  row: (quota, nowMs) => [
    quota.metadata.name,
    usage(quota, (name) => !name.startsWith('limits.')),
    usage(quota, (name) => name.startsWith('limits.')),
    formatAge(quota.metadata.creationTimestamp, nowMs),
  ],
}

function usage({ status }: Readonly<ResourceQuota>, isShown: (name: string) => boolean): string {
  const text = (amount: string | undefined): string => tryQuantity(amount ?? '0')?.text ?? ''
  return Object.keys(status?.hard ?? {})
    .filter(isShown)
    .toSorted()
    .map((name) => `${name}: ${text(status?.used?.[name])}/${text(status?.hard?.[name])}`)
    .join(', ')
}

function validateSpec(spec: Readonly<ResourceQuotaSpec>): FieldError[] {
  const path = new FieldPath('spec')
  const selector = path.child('scopeSelector', 'matchExpressions')
  return [
    ...validateAmounts(spec.hard, path.child('hard')),
    ...validateScopes(spec.scopes ?? [], spec, {
      path: path.child('scopes'),
      namePath: path.child('scopes'),
      value: spec.scopes,
    }),
    ...(spec.scopeSelector?.matchExpressions ?? []).flatMap((requirement) =>
      validateRequirement(requirement, selector),
    ),
    ...validateScopes(
      (spec.scopeSelector?.matchExpressions ?? []).map((requirement) => requirement.scopeName),
      spec,
      {
        path: selector,
        namePath: selector.child('scopeName'),
        value: spec.scopeSelector,
      },
    ),
  ]
}

function validateAmounts(amounts: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  return Object.entries(amounts ?? {}).flatMap(([name, text]) => {
    const at = path.key(name)
    const errors = validateResourceName(name, at)
    if (!name.includes('/') && !isStandardQuotaResource(name)) {
      errors.push(invalid(at, name, 'must be a standard resource for quota'))
    }
    return [...errors, ...validateResourceAmount(name, text, at)]
  })
}

interface ScopeContext {
  readonly path: FieldPath
  readonly namePath: FieldPath
  readonly value: unknown
}

function validateScopes(
  scopes: readonly string[],
  { hard = {} }: Readonly<ResourceQuotaSpec>,
  { path, namePath, value }: ScopeContext,
): FieldError[] {
  const errors: FieldError[] = []
  for (const scope of scopes) {
    if (!SCOPES.includes(scope)) errors.push(invalid(namePath, value, 'unsupported scope'))
    for (const name of Object.keys(hard).toSorted()) {
      if (!isStandardQuotaResource(name) || canScope(scope, name)) continue
      errors.push(invalid(path, value, 'unsupported scope applied to resource'))
    }
  }
  for (const [a, b] of CONFLICTS) {
    if (scopes.includes(a) && scopes.includes(b)) errors.push(invalid(path, value, 'conflicting scopes'))
  }
  return errors
}

/** Source: IsResourceQuotaScopeValidForResource, pkg/apis/core/helper v1.37. */
function canScope(scope: string, resource: string): boolean {
  if (scope === 'BestEffort') return resource === 'pods'
  if (scope === 'VolumeAttributesClass') return CLAIM_RESOURCES.includes(resource)
  return !POD_SCOPES.includes(scope) || resource === 'pods' || COMPUTE.includes(resource)
}

function validateRequirement(
  { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  if (
    scopeName !== 'PriorityClass' &&
    scopeName !== 'VolumeAttributesClass' &&
    SCOPES.includes(scopeName) &&
    operator !== 'Exists'
  ) {
    const names = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort'].map(
      (name) => `ResourceQuotaScope${name}`,
    )
    const detail = `must be 'Exists' when scope is any of ${names.join(', ')} or ResourceQuotaScopeCrossNamespacePodAffinity`
    errors.push(invalid(path.child('operator'), operator, detail))
  }
  if (operator === 'In' || operator === 'NotIn') {
    const detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
    if (values.length === 0) errors.push(required(path.child('values'), detail))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    const detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
    if (values.length > 0) errors.push(invalid(path.child('values'), values, detail))
  } else errors.push(invalid(path.child('operator'), operator, 'not a valid selector operator'))
  return errors
}
