import { everything } from '@centaurus/api'
import type {
  MatchResources,
  ParamKind,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  Validation,
} from '@centaurus/api/admissionregistration/v1'
import { compileConditions, compileExpression, type CompiledExpression } from '../matching/conditions.ts'
import type { MatchCriteria } from '../matching/match-request.ts'
import { readSelector } from '../webhooks/compile.ts'

/** A policy with the bindings that put it to use; expressions are compiled. */
export interface CompiledPolicy {
  readonly name: string
  readonly criteria: MatchCriteria
  readonly failurePolicy: string
  readonly paramKind: ParamKind | undefined
  readonly conditions: readonly CompiledExpression[]
  readonly variables: readonly CompiledVariable[]
  readonly validations: readonly CompiledValidation[]
  readonly auditAnnotations: readonly CompiledExpression[]
  readonly bindings: readonly CompiledBinding[]
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
  /** `Deny`, `Warn`, `Audit`. */
  readonly actions: readonly string[]
}

/** Policies that some binding uses, by name. Source: apiserver pkg/admission/plugin/policy/validating/plugin.go compilePolicy, v0.37. */
export function compilePolicies(
  policies: readonly Readonly<ValidatingAdmissionPolicy>[],
  bindings: readonly Readonly<ValidatingAdmissionPolicyBinding>[],
): readonly CompiledPolicy[] {
  return policies.flatMap((policy) => {
    const own = bindings.filter(({ spec }) => spec.policyName === policy.metadata.name)
    return own.length === 0 ? [] : [compilePolicy(policy, own.map(compileBinding))]
  })
}

function compilePolicy(
  { metadata, spec = {} }: Readonly<ValidatingAdmissionPolicy>,
  bindings: readonly CompiledBinding[],
): CompiledPolicy {
  const params = spec.paramKind !== undefined
  const withAuthorizer = { params, variables: true, authorizer: true }
  return {
    name: metadata.name ?? '',
    criteria: readCriteria(spec.matchConstraints ?? {}),
    failurePolicy: spec.failurePolicy ?? 'Fail',
    paramKind: spec.paramKind,
    conditions: compileConditions(spec.matchConditions, withAuthorizer),
    variables: (spec.variables ?? []).map(({ name, expression }) => ({
      name,
      expression: compileExpression(expression, undefined, withAuthorizer),
    })),
    validations: (spec.validations ?? []).map((validation) => compileValidation(validation, { params })),
    auditAnnotations: (spec.auditAnnotations ?? []).map(({ valueExpression }) =>
      compileExpression(valueExpression, ['string', 'null'], withAuthorizer),
    ),
    bindings,
  }
}

function compileValidation(
  { expression, message = '', messageExpression = '', reason }: Readonly<Validation>,
  { params }: { readonly params: boolean },
): CompiledValidation {
  return {
    expression: compileExpression(expression, ['bool'], { params, variables: true, authorizer: true }),
    message: message.trim(),
    messageExpression:
      messageExpression === ''
        ? undefined
        : compileExpression(messageExpression, ['string'], { params, variables: true }),
    reason: reason ?? 'Invalid',
  }
}

function compileBinding({ metadata, spec }: Readonly<ValidatingAdmissionPolicyBinding>): CompiledBinding {
  return {
    name: metadata.name ?? '',
    criteria: spec.matchResources === undefined ? undefined : readCriteria(spec.matchResources),
    paramRef: spec.paramRef,
    actions: spec.validationActions ?? [],
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
