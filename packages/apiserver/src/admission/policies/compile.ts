import { everything, type AdmissionCelOptions } from '@centaurus/api'
import type {
  MatchResources,
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  Validation,
} from '@centaurus/api/admissionregistration/v1'
import { compileConditions, compileExpression, type CompiledExpression } from '../matching/conditions.ts'
import type { MatchCriteria } from '../matching/match-request.ts'
import { readSelector } from '../webhooks/compile.ts'

/** What all policies have, with the bindings that put them to use; expressions are compiled. */
export interface PolicyBase {
  readonly name: string
  readonly criteria: MatchCriteria
  readonly failurePolicy: string
  readonly paramKind: ParamKind | undefined
  readonly conditions: readonly CompiledExpression[]
  readonly variables: readonly CompiledVariable[]
  readonly bindings: readonly CompiledBinding[]
}

export interface CompiledPolicy extends PolicyBase {
  readonly validations: readonly CompiledValidation[]
  readonly auditAnnotations: readonly CompiledExpression[]
}

export interface CompiledVariable {
  readonly name: string
  readonly expression: CompiledExpression
}

export interface CompiledValidation {
  readonly expression: CompiledExpression
  readonly message: string
  readonly messageExpression: CompiledExpression | undefined
  /** Of the refusal's status. */
  readonly reason: string
}

export interface CompiledBinding {
  readonly name: string
  /** Undefined: wherever the policy matches. */
  readonly criteria: MatchCriteria | undefined
  readonly paramRef: ParamRef | undefined
  /** `Deny`, `Warn`, `Audit`; none for what mutates. */
  readonly actions: readonly string[]
}

/** Policies that some binding uses, by name. Source: apiserver pkg/admission/plugin/policy/validating/plugin.go compilePolicy, v0.37. */
export function compilePolicies(
  policies: readonly Readonly<ValidatingAdmissionPolicy>[],
  bindings: readonly Readonly<ValidatingAdmissionPolicyBinding>[],
): readonly CompiledPolicy[] {
  return policies.flatMap((policy) => {
    const base = compileBase(policy, bindings)
    if (base === undefined) return []
    const { validations = [], auditAnnotations = [] } = policy.spec ?? {}
    const options = expressionOptions(base)
    return [
      {
        ...base,
        validations: validations.map((validation) => compileValidation(validation, options)),
        auditAnnotations: auditAnnotations.map(({ valueExpression }) =>
          compileExpression(valueExpression, ['string', 'null'], options),
        ),
      },
    ]
  })
}

type AnyPolicy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy
type AnyBinding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding

/** Undefined: no binding uses the policy. */
export function compileBase(
  { metadata, spec = {} }: Readonly<AnyPolicy>,
  bindings: readonly Readonly<AnyBinding>[],
): PolicyBase | undefined {
  const own = bindings.filter((binding) => binding.spec?.policyName === metadata.name)
  if (own.length === 0) return undefined
  const { paramKind } = spec
  const options = expressionOptions({ paramKind })
  return {
    name: metadata.name ?? '',
    criteria: readCriteria(spec.matchConstraints ?? {}),
    failurePolicy: spec.failurePolicy ?? 'Fail',
    paramKind,
    conditions: compileConditions(spec.matchConditions, options),
    variables: (spec.variables ?? []).map(({ name, expression }) => ({
      name,
      expression: compileExpression(expression, undefined, options),
    })),
    bindings: own.map(compileBinding),
  }
}

/** What expressions of a policy may name. */
export function expressionOptions({ paramKind }: Pick<PolicyBase, 'paramKind'>): AdmissionCelOptions {
  return { params: paramKind !== undefined, variables: true, authorizer: true }
}

function compileValidation(
  { expression, message = '', messageExpression = '', reason }: Readonly<Validation>,
  options: AdmissionCelOptions,
): CompiledValidation {
  return {
    expression: compileExpression(expression, ['bool'], options),
    message: message.trim(),
    messageExpression:
      messageExpression === ''
        ? undefined
        : compileExpression(messageExpression, ['string'], { ...options, authorizer: false }),
    reason: reason ?? 'Invalid',
  }
}

function compileBinding({ metadata, spec = {} }: Readonly<AnyBinding>): CompiledBinding {
  return {
    name: metadata.name ?? '',
    criteria: spec.matchResources === undefined ? undefined : readCriteria(spec.matchResources),
    paramRef: spec.paramRef,
    actions: 'validationActions' in spec ? (spec.validationActions ?? []) : [],
  }
}

/** No rules at all match everything, as a binding's may. */
function readCriteria(match: Readonly<MatchResources>): MatchCriteria {
  const rules = match.resourceRules ?? []
  return {
    rules: rules.length === 0 ? undefined : rules,
    excluded: match.excludeResourceRules ?? [],
    matchPolicy: match.matchPolicy ?? 'Equivalent',
    namespaceSelector: match.namespaceSelector === undefined ? everything : readSelector(match.namespaceSelector),
    objectSelector: match.objectSelector === undefined ? everything : readSelector(match.objectSelector),
  }
}
