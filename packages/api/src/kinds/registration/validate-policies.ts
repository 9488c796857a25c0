import type {
  MatchResources,
  MutatingAdmissionPolicySpec,
  Mutation,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicySpec,
  Validation,
  Variable,
} from '../../generated/types/admissionregistration/v1.ts'
import { checkDns1035Label, checkDnsSubdomain, checkPathSegment, checkQualifiedName } from '../../meta/names.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkOneOf, checkRequired, checkRequiredName, checkRequiredOneOf, invalidFor } from '../shared/check.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import type { AdmissionCelOptions } from '../../cel/admission.ts'
import { compileMutationCel } from '../../cel/mutation.ts'
import { checkCel, validateMatchConditions, validateRule } from './rules.ts'

const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized']
const BOTH = 'name and selector are mutually exclusive'
type PolicySpec = Pick<
  ValidatingAdmissionPolicySpec,
  'failurePolicy' | 'paramKind' | 'matchConstraints' | 'matchConditions' | 'variables'
>

/** Source of this file: pkg/apis/admissionregistration/validation v1.37. */
export function validateValidatingPolicy(spec: Readonly<ValidatingAdmissionPolicySpec>, path: FieldPath): FieldError[] {
  const { validations = [], auditAnnotations = [], paramKind } = spec
  const cel = { params: paramKind !== undefined, variables: true, authorizer: true }
  const errors = validatePolicy(spec, path, cel)
  if (validations.length + auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item'
    return [...errors, required(path.child('validations'), detail), required(path.child('auditAnnotations'), detail)]
  }
  errors.push(...validations.flatMap((item, i) => validateValidation(item, path.child('validations').index(i), cel)))
  const keys = auditAnnotations.map((annotation) => annotation.key)
  for (const [i, { key, valueExpression }] of auditAnnotations.entries()) {
    const at = path.child('auditAnnotations').index(i)
    errors.push(...checkRequiredName(key, at.child('key'), checkQualifiedName))
    errors.push(...checkRequired(valueExpression?.trim(), at.child('valueExpression')))
    errors.push(...checkCel(valueExpression, at.child('valueExpression'), { wanted: ['string', 'null'], ...cel }))
    if (keys.indexOf(key) < i) errors.push(duplicate(at.child('key'), key))
  }
  return errors
}

export function validateMutatingPolicy(spec: Readonly<MutatingAdmissionPolicySpec>, path: FieldPath): FieldError[] {
  const { mutations = [], paramKind } = spec
  const cel = { params: paramKind !== undefined, variables: true, authorizer: true }
  const at = path.child('mutations')
  return [
    ...validatePolicy(spec, path, cel),
    ...checkRequiredOneOf(spec.reinvocationPolicy, path.child('reinvocationPolicy'), ['IfNeeded', 'Never']),
    ...(mutations.length === 0 ? [required(at, 'mutations must contain at least one item')] : []),
    ...mutations.flatMap((mutation, i) => validateMutation(mutation, at.index(i), cel)),
  ]
}

/** What both kinds of policies have. */
function validatePolicy(spec: Readonly<PolicySpec>, path: FieldPath, cel: AdmissionCelOptions): FieldError[] {
  const { matchConstraints, variables = [] } = spec
  const constraintsPath = path.child('matchConstraints')
  const errors = checkRequiredOneOf(spec.failurePolicy, path.child('failurePolicy'), ['Fail', 'Ignore'])
  if (spec.paramKind !== undefined) errors.push(...validateParamKind(spec.paramKind, path.child('paramKind')))
  if (matchConstraints === undefined) errors.push(required(constraintsPath))
  else {
    errors.push(...validateMatchResources(matchConstraints, constraintsPath))
    if ((matchConstraints.resourceRules ?? []).length === 0)
      errors.push(required(constraintsPath.child('resourceRules')))
  }
  errors.push(...validateMatchConditions(spec.matchConditions ?? [], path.child('matchConditions'), cel))
  return [
    ...errors,
    ...variables.flatMap((variable, i) => validateVariable(variable, path.child('variables').index(i), cel)),
  ]
}

function validateVariable({ name, expression }: Variable, path: FieldPath, cel: AdmissionCelOptions): FieldError[] {
  const errors = name ? [] : [required(path.child('name'), 'name is not specified')]
  if (name && !/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name)) {
    errors.push(invalid(path.child('name'), name, 'name is not a valid CEL identifier'))
  }
  const at = path.child('expression')
  return [
    ...errors,
    ...checkRequired(expression?.trim(), at, 'expression is not specified'),
    ...checkCel(expression, at, { wanted: undefined, ...cel }),
  ]
}

function validateValidation(validation: Readonly<Validation>, path: FieldPath, cel: AdmissionCelOptions): FieldError[] {
  const { expression, message = '', messageExpression = '', reason } = validation
  const errors = checkRequired(expression?.trim(), path.child('expression'), 'expression is not specified')
  errors.push(...checkCel(expression, path.child('expression'), { wanted: ['bool'], ...cel }))
  const forMessages = { ...cel, authorizer: false, wanted: ['string'] }
  errors.push(...checkCel(messageExpression, path.child('messageExpression'), forMessages))
  const empty = 'must be non-empty if specified'
  if (messageExpression !== '' && messageExpression.trim() === '') {
    errors.push(invalid(path.child('messageExpression'), messageExpression, empty))
  }
  if (message !== '' && message.trim() === '') errors.push(invalid(path.child('message'), message, empty))
  else if (/[\r\n]/.test(message.trim())) {
    errors.push(invalid(path.child('message'), message, 'must not contain line breaks'))
  }
  return [...errors, ...checkOneOf(reason, path.child('reason'), REASONS)]
}

function validateMutation(
  { patchType, jsonPatch, applyConfiguration }: Mutation,
  path: FieldPath,
  cel: AdmissionCelOptions,
): FieldError[] {
  const errors = checkRequiredOneOf(patchType, path.child('patchType'), ['ApplyConfiguration', 'JSONPatch'])
  if (errors.length > 0) return errors
  const isPatch = patchType === 'JSONPatch'
  const name = isPatch ? 'jsonPatch' : 'applyConfiguration'
  const other = isPatch ? 'applyConfiguration' : 'jsonPatch'
  const [chosen, surplus] = isPatch ? [jsonPatch, applyConfiguration] : [applyConfiguration, jsonPatch]
  const at = path.child(name)
  if (chosen === undefined) errors.push(required(at, `must be specified when patchType is ${patchType}`))
  else {
    const expressionPath = at.child('expression')
    errors.push(...checkRequired(chosen.expression?.trim(), expressionPath, 'expression is not specified'))
    const { error } = compileMutationCel(chosen.expression ?? '', cel)
    if (error !== undefined && chosen.expression?.trim()) errors.push(invalid(expressionPath, chosen.expression, error))
  }
  if (surplus !== undefined) {
    errors.push(invalid(path.child(other), `{${other}}`, `must not be specified when patchType is ${patchType}`))
  }
  return errors
}

function validateParamKind({ apiVersion = '', kind = '' }: ParamKind, path: FieldPath): FieldError[] {
  const versionPath = path.child('apiVersion')
  const errors: FieldError[] = checkRequired(apiVersion, versionPath)
  const [first = '', second, ...surplus] = apiVersion.split('/')
  const [group, version] = second === undefined ? ['', first] : [first, second]
  if (surplus.length > 0) {
    errors.push(invalid(versionPath, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  } else if (apiVersion !== '') {
    if (group !== '') errors.push(...joined(versionPath, group, checkDnsSubdomain(group)))
    if (version === '') errors.push(invalid(versionPath, apiVersion, 'version must be specified'))
    else errors.push(...joined(versionPath, version, checkDns1035Label(version)))
  }
  const messages = kind === '' ? [] : checkDns1035Label(kind.toLowerCase())
  errors.push(...checkRequired(kind, path.child('kind')))
  if (messages.length === 0) return errors
  const detail = `may have mixed case, but should otherwise match: ${messages.join(',')}`
  return [...errors, invalid(path.child('kind'), kind, detail)]
}

function joined(path: FieldPath, value: string, messages: readonly string[]): FieldError[] {
  return messages.length === 0 ? [] : [invalid(path, value, messages.join(','))]
}

export function validateMatchResources(match: Readonly<MatchResources> | undefined, path: FieldPath): FieldError[] {
  if (match === undefined) return []
  const { namespaceSelector, objectSelector } = match
  return [
    ...checkRequiredOneOf(match.matchPolicy, path.child('matchPolicy'), ['Equivalent', 'Exact']),
    ...(namespaceSelector === undefined ? [required(path.child('namespaceSelector'))] : []),
    ...validateLabelSelector(namespaceSelector, path.child('namespaceSelector')),
    ...(objectSelector === undefined ? [required(path.child('objectSelector'))] : []),
    ...validateLabelSelector(objectSelector, path.child('objectSelector')),
    ...(match.resourceRules ?? []).flatMap((rule, i) => validateRule(rule, path.child('resourceRules').index(i))),
    ...(match.excludeResourceRules ?? []).flatMap((rule, i) =>
      validateRule(rule, path.child('excludeResourceRules').index(i)),
    ),
  ]
}

export function validatePolicyName(name: string | undefined, path: FieldPath): FieldError[] {
  return checkRequiredName(name, path, checkDnsSubdomain)
}

export function validateParamRef(reference: Readonly<ParamRef> | undefined, path: FieldPath): FieldError[] {
  if (reference === undefined) return []
  const { name, selector } = reference
  const errors: FieldError[] = []
  if (name) {
    errors.push(...invalidFor(path.child('name'), name, checkPathSegment(name)))
    if (selector !== undefined) errors.push(forbiddenField(path.child('name'), BOTH))
  }
  errors.push(...validateLabelSelector(selector, path.child('selector')))
  if (name && selector !== undefined) errors.push(forbiddenField(path.child('selector'), BOTH))
  if (!name && selector === undefined) errors.push(required(path, 'one of name or selector must be specified'))
  const actions = ['Deny', 'Allow']
  return [
    ...errors,
    ...checkRequiredOneOf(reference.parameterNotFoundAction, path.child('parameterNotFoundAction'), actions),
  ]
}

export function validateValidationActions(actions: readonly string[], path: FieldPath): FieldError[] {
  const errors = actions.flatMap((action, i) => [
    ...checkOneOf(action, path.index(i), ['Audit', 'Deny', 'Warn']),
    ...(actions.indexOf(action) < i ? [duplicate(path.index(i), action)] : []),
  ])
  if (actions.includes('Deny') && actions.includes('Warn')) {
    const why = 'repeating the same validation failure information in the API response and headers serves no purpose'
    errors.push(invalid(path, actions, `must not contain both Deny and Warn (${why})`))
  }
  return actions.length > 0 ? errors : [...errors, required(path, 'at least one validation action is required')]
}
