import { OUT_OF_BUDGET, type KubeObject } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import type { Authorizer } from '../../access/access.ts'
import { createActivation, type Activation } from '../matching/activation.ts'
import { isNamespaceResource, type Attributes, type ServedVersion } from '../matching/attributes.ts'
import { OutOfBudgetError } from '../matching/conditions.ts'
import { matchRequest, type MatchWorld } from '../matching/match-request.ts'
import type { Warnings } from '../matching/warnings.ts'
import type { CompiledBinding, PolicyBase } from './compile.ts'
import { collectParams, findParamDefinition, type ParamsDeps } from './params.ts'

export interface PolicyDeps extends MatchWorld, ParamsDeps {
  readonly authorizer: Authorizer
}

export interface HeldRequest {
  readonly attributes: Attributes
  readonly warnings: Warnings
}

/** A policy that speaks of the request, by one of its bindings and with one parameter. */
export interface Invocation {
  readonly binding: CompiledBinding
  readonly version: ServedVersion
  /** Undefined: the policy has none. */
  readonly params: KubeObject | undefined
}

/** What is wrong with a policy, or with one of its bindings, as it stands. */
export interface PolicyProblem {
  readonly binding: CompiledBinding | undefined
  readonly message: string
}

export interface PolicyMatches {
  readonly invocations: readonly Invocation[]
  readonly problems: readonly PolicyProblem[]
}

/** How a policy is to be held against the request; nowhere, when neither it nor a binding matches. */
export function matchPolicy(deps: PolicyDeps, attributes: Attributes, policy: PolicyBase): PolicyMatches {
  const invocations: Invocation[] = []
  const problems: PolicyProblem[] = []
  try {
    const version = matchRequest(deps, attributes, policy.criteria)
    if (version === undefined) return { invocations, problems }
    if (policy.paramKind !== undefined) findParamDefinition(deps, attributes.tenant, policy.paramKind)
    for (const binding of policy.bindings) {
      try {
        const isMatch = binding.criteria === undefined || matchRequest(deps, attributes, binding.criteria) !== undefined
        const found = isMatch ? paramsOf(deps, attributes, { policy, binding }) : []
        invocations.push(...found.map((params) => ({ binding, version, params })))
      } catch (error) {
        problems.push({ binding, message: `failed to configure binding: ${(error as Error).message}` })
      }
    }
  } catch (error) {
    problems.push({ binding: undefined, message: `failed to configure policy: ${(error as Error).message}` })
  }
  return { invocations, problems }
}

/** A policy without parameters is held against the request once. */
function paramsOf(
  deps: PolicyDeps,
  { tenant, namespace }: Attributes,
  { policy, binding }: { readonly policy: PolicyBase; readonly binding: CompiledBinding },
): readonly (KubeObject | undefined)[] {
  if (policy.paramKind === undefined || binding.paramRef === undefined) return [undefined]
  const definition = findParamDefinition(deps, tenant, policy.paramKind)
  return collectParams(deps, { tenant, definition, ref: binding.paramRef, namespace })
}

/** What the policy's expressions name. Throws `OutOfBudgetError` when nothing may be asked any more. */
export function activate(deps: PolicyDeps, attributes: Attributes, { version, params }: Invocation): Activation {
  const { reader, authorizer } = deps
  const { namespace, tenant, requested, steps } = attributes
  if (steps.stepsLeft < 0) throw new OutOfBudgetError(OUT_OF_BUDGET)
  const isInNamespace = namespace !== '' && !isNamespaceResource(requested.definition)
  const namespaceObject = isInNamespace ? reader.get(namespaces, { name: namespace }, { tenant }) : undefined
  return createActivation(attributes, { version, authorizer, params, namespaceObject })
}
