import { forbidden, StatusError, STATUS_CODES, type KubeObject, type StatusReason } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import type { Authorizer } from '../../access/access.ts'
import { createActivation } from '../matching/activation.ts'
import { isNamespaceResource, type Attributes, type ServedVersion } from '../matching/attributes.ts'
import { matchRequest, type MatchWorld } from '../matching/match-request.ts'
import type { Warnings } from '../matching/warnings.ts'
import type { CompiledBinding, CompiledPolicy } from './compile.ts'
import { evaluatePolicy, type Denial, type PolicyOutcome } from './evaluate.ts'
import { collectParams, findParamDefinition, type ParamsDeps } from './params.ts'

export interface PolicyDeps extends MatchWorld, ParamsDeps {
  readonly authorizer: Authorizer
}

export interface HeldRequest {
  readonly attributes: Attributes
  readonly warnings: Warnings
}

/**
 * Holds the request against the policies. Throws the first denial that a binding enforces; others warn, or would be in the audit log if there
 * was one. Source: apiserver pkg/admission/plugin/policy/validating/dispatcher.go, v0.37.
 */
export function holdPolicies(deps: PolicyDeps, held: HeldRequest, policies: readonly CompiledPolicy[]): void {
  // all of them are held, since any may warn
  const [first] = policies.flatMap((policy) => holdPolicy(deps, held, policy))
  if (first !== undefined) throw refusal(held.attributes, first)
}

function holdPolicy(deps: PolicyDeps, held: HeldRequest, policy: CompiledPolicy): Denial[] {
  const { attributes } = held
  let version: ServedVersion | undefined
  try {
    version = matchRequest(deps, attributes, policy.criteria)
    if (version === undefined) return []
    if (policy.paramKind !== undefined) findParamDefinition(deps, attributes.tenant, policy.paramKind)
  } catch (error) {
    return configurationError(policy, undefined, error)
  }
  const shown = version
  return policy.bindings.flatMap((binding) => holdBinding(deps, held, { policy, binding, version: shown }))
}

interface Bound {
  readonly policy: CompiledPolicy
  readonly binding: CompiledBinding
  readonly version: ServedVersion
}

function holdBinding(deps: PolicyDeps, { attributes, warnings }: HeldRequest, bound: Bound): Denial[] {
  const { policy, binding } = bound
  let outcomes: PolicyOutcome[]
  try {
    if (binding.criteria !== undefined && matchRequest(deps, attributes, binding.criteria) === undefined) return []
    outcomes = outcomesOf(deps, attributes, bound)
  } catch (error) {
    return configurationError(policy, binding, error)
  }
  const subject = `ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}'`
  const denied = ({ message, reason }: Denial): Denial => ({ message: `${subject} denied request: ${message}`, reason })
  return outcomes.flatMap(({ denials, fatal }) => {
    if (binding.actions.includes('Warn')) {
      for (const { message } of denials) warnings.add(`Validation failed for ${subject}: ${message}`)
    }
    return [...(binding.actions.includes('Deny') ? denials : []), ...fatal].map(denied)
  })
}

function outcomesOf(deps: PolicyDeps, attributes: Attributes, { policy, binding, version }: Bound): PolicyOutcome[] {
  const { authorizer } = deps
  const namespaceObject = namespaceOf(deps, attributes)
  return paramsOf(deps, attributes, { policy, binding }).map((params) =>
    evaluatePolicy(policy, createActivation(attributes, { version, authorizer, params, namespaceObject })),
  )
}

/** A policy without parameters is held against the request once. */
function paramsOf(
  deps: PolicyDeps,
  { tenant, namespace }: Attributes,
  { policy, binding }: Pick<Bound, 'policy' | 'binding'>,
): (KubeObject | undefined)[] {
  if (policy.paramKind === undefined || binding.paramRef === undefined) return [undefined]
  const definition = findParamDefinition(deps, tenant, policy.paramKind)
  return collectParams(deps, { tenant, definition, ref: binding.paramRef, namespace })
}

function namespaceOf({ reader }: PolicyDeps, { namespace, tenant, requested }: Attributes): KubeObject | undefined {
  if (namespace === '' || isNamespaceResource(requested.definition)) return undefined
  return reader.get(namespaces, { name: namespace }, { tenant })
}

function configurationError(policy: CompiledPolicy, binding: CompiledBinding | undefined, error: unknown): Denial[] {
  if (policy.failurePolicy === 'Ignore') return []
  const { message } = error as Error
  const reason = 'Invalid'
  if (binding === undefined) {
    const text = `ValidatingAdmissionPolicy '${policy.name}' denied request: failed to configure policy: ${message}`
    return [{ message: text, reason }]
  }
  const subject = `ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}'`
  return [{ message: `${subject} denied request: failed to configure binding: ${message}`, reason }]
}

/** Worded as a Forbidden, whatever its reason. */
function refusal({ requested, name, object }: Attributes, { message, reason }: Denial): StatusError {
  const { name: objectName = '', generateName = '' } = object?.metadata ?? {}
  const shown = [name, objectName, generateName].find((text) => text !== '') ?? 'Unknown'
  const worded = forbidden(requested.resource, shown, message)
  return new StatusError({
    reason: reason in STATUS_CODES ? (reason as StatusReason) : 'Invalid',
    message: worded.message,
    details: { ...worded.details, causes: [{ message }] },
  })
}
