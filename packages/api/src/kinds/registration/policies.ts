import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '../../generated/types/admissionregistration/v1.ts'
import { FieldPath } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn, selectorText } from '../shared/table.ts'
import { setRuleDefaults } from './rules.ts'
import {
  validateMatchResources,
  validateMutatingPolicy,
  validateParamRef,
  validatePolicyName,
  validateValidatingPolicy,
  validateValidationActions,
} from './validate-policies.ts'

const spec = new FieldPath('spec')
const bindingColumns = [
  nameColumn,
  column('PolicyName', 'Policy that is bound'),
  column('ParamRef', 'Parameters of the policy'),
  ageColumn,
]

/** Source of this file: pkg/apis/admissionregistration/v1/defaults.go, pkg/printers/internalversion v1.37. */
export const validatingAdmissionPolicyBehavior: KindBehavior<ValidatingAdmissionPolicy> = {
  allowUnconditionalUpdate: false,
  setDefaults: (draft) => setPolicyDefaults(draft),
  validate: ({ spec: own }) => validateValidatingPolicy(own ?? {}, spec),
  columns: [
    nameColumn,
    column('Validations', 'Number of validations', { type: 'integer' }),
    column('ParamKind', 'Kind of the parameters'),
    ageColumn,
  ],
  row: ({ metadata, spec: own }, nowMs) => [
    metadata.name,
    (own?.validations ?? []).length,
    formatParamKind(own?.paramKind),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const mutatingAdmissionPolicyBehavior: KindBehavior<MutatingAdmissionPolicy> = {
  allowUnconditionalUpdate: false,
  setDefaults: (draft) => setPolicyDefaults(draft),
  validate: ({ spec: own }) => validateMutatingPolicy(own ?? {}, spec),
  columns: [
    nameColumn,
    column('Mutations', 'Number of mutations', { type: 'integer' }),
    column('ParamKind', 'Kind of the parameters'),
    ageColumn,
  ],
  row: ({ metadata, spec: own }, nowMs) => [
    metadata.name,
    (own?.mutations ?? []).length,
    formatParamKind(own?.paramKind),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const validatingAdmissionPolicyBindingBehavior: KindBehavior<ValidatingAdmissionPolicyBinding> = {
  allowUnconditionalUpdate: false,
  setDefaults: ({ spec: own }) => setMatchDefaults(own?.matchResources),
  validate: ({ spec: own }) => [
    ...validatePolicyName(own.policyName, spec.child('policyName')),
    ...validateParamRef(own.paramRef, spec.child('paramRef')),
    ...validateMatchResources(own.matchResources, spec.child('matchResources')),
    ...validateValidationActions(own.validationActions ?? [], spec.child('validationActions')),
  ],
  columns: bindingColumns,
  row: formatBinding,
}

export const mutatingAdmissionPolicyBindingBehavior: KindBehavior<MutatingAdmissionPolicyBinding> = {
  allowUnconditionalUpdate: false,
  setDefaults: ({ spec: own }) => setMatchDefaults(own?.matchResources),
  validate: ({ spec: own }) => [
    ...validatePolicyName(own?.policyName, spec.child('policyName')),
    ...validateParamRef(own?.paramRef, spec.child('paramRef')),
    ...validateMatchResources(own?.matchResources, spec.child('matchResources')),
  ],
  columns: bindingColumns,
  row: formatBinding,
}

function setPolicyDefaults({ spec: own }: ValidatingAdmissionPolicy | MutatingAdmissionPolicy): void {
  if (own === undefined) return
  own.failurePolicy ??= 'Fail'
  setMatchDefaults(own.matchConstraints)
}

function setMatchDefaults(match: MatchResources | undefined): void {
  if (match === undefined) return
  match.matchPolicy ??= 'Equivalent'
  match.namespaceSelector ??= {}
  match.objectSelector ??= {}
  match.resourceRules?.forEach(setRuleDefaults)
  match.excludeResourceRules?.forEach(setRuleDefaults)
}

function formatParamKind(kind: ParamKind | undefined): string {
  return kind === undefined ? '<unset>' : `${kind.apiVersion ?? ''}/${kind.kind ?? ''}`
}

function formatBinding(
  { metadata, spec: own }: Readonly<ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding>,
  nowMs: number,
): unknown[] {
  const age = formatAge(metadata.creationTimestamp, nowMs)
  return [metadata.name, own?.policyName ?? '', formatParamRef(own?.paramRef), age]
}

/** Upstream prints a selector in Go's syntax; this is the text that kubectl takes. */
function formatParamRef(reference: ParamRef | undefined): string {
  if (reference?.name) return `${reference.namespace || '*'}/${reference.name}`
  return reference?.selector === undefined ? '<unset>' : selectorText(reference.selector)
}
