import type { MatchCondition, NamedRuleWithOperations } from '../../generated/types/admissionregistration/v1.ts'
import { compileAdmissionCel, type AdmissionCelOptions } from '../../cel/admission.ts'
import { checkPathSegment, checkQualifiedName } from '../../meta/names.ts'
import { duplicate, invalid, required, tooMany, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkOneOf, checkRequired, checkRequiredName, invalidFor } from '../shared/check.ts'

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const SCOPES = ['*', 'Cluster', 'Namespaced']
const MATCH_CONDITIONS_MAX = 64

export function setRuleDefaults(rule: NamedRuleWithOperations): void {
  rule.scope ??= '*'
}

/** A rule of a webhook or of an admission policy. Source: validateRuleWithOperations, pkg/apis/admissionregistration/validation v1.37. */
export function validateRule(rule: Readonly<NamedRuleWithOperations>, path: FieldPath): FieldError[] {
  const { operations = [], apiVersions = [], resourceNames = [] } = rule
  const errors = resourceNames.flatMap((name, i) => {
    const at = path.child('resourceNames').index(i)
    const repeated = resourceNames.indexOf(name) < i ? [duplicate(at, name)] : []
    return [...invalidFor(at, name, checkPathSegment(name)), ...repeated]
  })
  errors.push(...checkList(operations, path.child('operations'), 'operations'))
  for (const [i, operation] of operations.entries()) {
    errors.push(...checkOneOf(operation, path.child('operations').index(i), OPERATIONS))
  }
  errors.push(...checkList(rule.apiGroups ?? [], path.child('apiGroups'), 'API groups'))
  errors.push(...checkList(apiVersions, path.child('apiVersions'), 'API versions'))
  errors.push(...apiVersions.flatMap((version, i) => checkRequired(version, path.child('apiVersions').index(i))))
  errors.push(...validateResources(rule.resources ?? [], path.child('resources')))
  return [...errors, ...checkOneOf(rule.scope, path.child('scope'), SCOPES)]
}

function checkList(values: readonly string[], path: FieldPath, what: string): FieldError[] {
  if (values.length === 0) return [required(path)]
  return values.length > 1 && values.includes('*')
    ? [invalid(path, values, `if '*' is present, must not specify other ${what}`)]
    : []
}

function validateResources(resources: readonly string[], path: FieldPath): FieldError[] {
  if (resources.length === 0) return [required(path)]
  const errors: FieldError[] = []
  const wholes = new Set<string>()
  const everywhere = new Set<string>()
  for (const [i, text] of resources.entries()) {
    const at = path.index(i)
    const slash = text.indexOf('/')
    if (text === '') errors.push(required(at))
    if (slash < 0) continue
    const resource = text.slice(0, slash)
    const subresource = text.slice(slash + 1)
    if (wholes.has(resource)) {
      errors.push(invalid(at, text, `if '${resource}/*' is present, must not specify ${text}`))
    }
    if (everywhere.has(subresource)) {
      errors.push(invalid(at, text, `if '*/${subresource}' is present, must not specify ${text}`))
    }
    if (subresource === '*') wholes.add(resource)
    if (resource === '*') everywhere.add(subresource)
  }
  if (resources.length > 1 && resources.includes('*/*')) {
    errors.push(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
  }
  const plain = resources.some((text) => text !== '' && text !== '*' && !text.includes('/'))
  if (resources.includes('*') && plain) {
    const detail = "if '*' is present, must not specify other resources without subresources"
    errors.push(invalid(path, resources, detail))
  }
  return errors
}

/** `cel`: what the expressions may name. */
export function validateMatchConditions(
  conditions: readonly MatchCondition[],
  path: FieldPath,
  cel: AdmissionCelOptions,
): FieldError[] {
  const names = conditions.map((condition) => condition.name)
  const errors = conditions.flatMap((condition, i) => {
    const at = path.index(i)
    const repeated = condition.name && names.indexOf(condition.name) < i
    return [
      ...checkRequired(condition.expression?.trim(), at.child('expression')),
      ...checkCel(condition.expression, at.child('expression'), { wanted: ['bool'], ...cel }),
      ...checkRequiredName(condition.name, at.child('name'), checkQualifiedName),
      ...(repeated ? [duplicate(at.child('name'), condition.name)] : []),
    ]
  })
  return conditions.length > MATCH_CONDITIONS_MAX
    ? [tooMany(path, conditions.length, MATCH_CONDITIONS_MAX), ...errors]
    : errors
}

/** Whether an expression compiles and is of a wanted type. One that is missing is somebody else's to report. */
export function checkCel(
  expression: string | undefined,
  path: FieldPath,
  { wanted, ...options }: AdmissionCelOptions & { readonly wanted: readonly string[] | undefined },
): FieldError[] {
  if ((expression ?? '').trim() === '') return []
  const { error } = compileAdmissionCel(expression!, wanted, options)
  return error === undefined ? [] : [invalid(path, expression, error)]
}
