import { forbidden, StatusError, STATUS_CODES, type StatusReason } from '@centaurus/api'
import type { Attributes } from '../matching/attributes.ts'
import type { CompiledPolicy } from './compile.ts'
import { evaluatePolicy, type Denial } from './evaluate.ts'
import {
  activate,
  matchPolicy,
  type HeldRequest,
  type Invocation,
  type PolicyDeps,
  type PolicyProblem,
} from './match.ts'

/**
 * Holds the request against the policies. Throws the first denial that a binding enforces; others warn, or would be in the audit log if there
 * was one. Source: apiserver pkg/admission/plugin/policy/validating/dispatcher.go, v0.37.
 */
export function holdPolicies(deps: PolicyDeps, held: HeldRequest, policies: readonly CompiledPolicy[]): void {
  // all of them are held, since any may warn
  const [first] = policies.flatMap((policy) => {
    const { invocations, problems } = matchPolicy(deps, held.attributes, policy)
    return [
      ...problems.flatMap((problem) => denialOf(policy, problem)),
      ...invocations.flatMap((invocation) => holdOne(deps, held, { policy, invocation })),
    ]
  })
  if (first !== undefined) throw refusal(held.attributes, first)
}

function denialOf(policy: CompiledPolicy, { binding, message }: PolicyProblem): Denial[] {
  if (policy.failurePolicy === 'Ignore') return []
  const by = binding === undefined ? '' : ` with binding '${binding.name}'`
  const text = `ValidatingAdmissionPolicy '${policy.name}'${by} denied request: ${message}`
  return [{ message: text, reason: 'Invalid' }]
}

function holdOne(
  deps: PolicyDeps,
  { attributes, warnings }: HeldRequest,
  { policy, invocation }: { readonly policy: CompiledPolicy; readonly invocation: Invocation },
): Denial[] {
  const { name, actions } = invocation.binding
  const { denials, fatal } = evaluatePolicy(policy, () => activate(deps, attributes, invocation))
  const subject = `ValidatingAdmissionPolicy '${policy.name}' with binding '${name}'`
  if (actions.includes('Warn')) {
    for (const { message } of denials) warnings.add(`Validation failed for ${subject}: ${message}`)
  }
  return [...(actions.includes('Deny') ? denials : []), ...fatal].map(({ message, reason }) => ({
    message: `${subject} denied request: ${message}`,
    reason,
  }))
}

/** Worded as a Forbidden, whatever its reason. */
function refusal(attributes: Attributes, { message, reason }: Denial): StatusError {
  const worded = forbidden(attributes.requested.resource, shownName(attributes), message)
  return new StatusError({
    reason: reason in STATUS_CODES ? (reason as StatusReason) : 'Invalid',
    message: worded.message,
    details: { ...worded.details, causes: [{ message }] },
  })
}

/** As refusals call an object whose name may not be there yet. Source: apiserver pkg/admission/errors.go extractResourceName. */
export function shownName({ name, object }: Attributes): string {
  const { name: own = '', generateName = '' } = object?.metadata ?? {}
  return [name, own, generateName].find((text) => text !== '') ?? 'Unknown'
}
