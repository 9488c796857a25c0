import {
  applyJsonPatch,
  compileMutationCel,
  deepEqual,
  forbidden,
  fromCelValue,
  isRecord,
  mergeConfiguration,
  parseJsonPatch,
  StatusError,
  type KubeObject,
  type StructSchema,
} from '@centaurus/api'
import type { MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding } from '@centaurus/api/admissionregistration/v1'
import { requireSchema } from '../../handlers/decode-body.ts'
import type { Attributes } from '../matching/attributes.ts'
import { evaluate, holdConditions, newBudget, type CompiledExpression } from '../matching/conditions.ts'
import { fromServed } from '../matching/from-served.ts'
import { noteChange, type Rounds } from '../matching/rounds.ts'
import { compileBase, expressionOptions, type PolicyBase } from './compile.ts'
import { withVariables, type Denial } from './evaluate.ts'
import {
  activate,
  matchPolicy,
  type HeldRequest,
  type Invocation,
  type PolicyDeps,
  type PolicyProblem,
} from './match.ts'
import { shownName } from './validate.ts'

/** A policy that changes objects, with the bindings that put it to use. */
export interface CompiledMutatingPolicy extends PolicyBase {
  readonly mutations: readonly CompiledMutation[]
  readonly reinvocationPolicy: string
}

export interface CompiledMutation {
  readonly patchType: string
  readonly expression: CompiledExpression
}

/** Policies that some binding uses, by name. Source: apiserver pkg/admission/plugin/policy/mutating/compilation.go, v0.37. */
export function compileMutatingPolicies(
  policies: readonly Readonly<MutatingAdmissionPolicy>[],
  bindings: readonly Readonly<MutatingAdmissionPolicyBinding>[],
): readonly CompiledMutatingPolicy[] {
  return policies.flatMap((policy) => {
    const base = compileBase(policy, bindings)
    if (base === undefined) return []
    const { mutations = [], reinvocationPolicy = 'Never' } = policy.spec ?? {}
    const compiled = mutations.map(({ patchType = '', jsonPatch, applyConfiguration }) => {
      const text = (patchType === 'JSONPatch' ? jsonPatch : applyConfiguration)?.expression ?? ''
      return { patchType, expression: { text, compiled: compileMutationCel(text, expressionOptions(base)) } }
    })
    return [{ ...base, mutations: compiled, reinvocationPolicy }]
  })
}

/**
 * Lets the policies change the object one after the other. Returns whether it is another one now. Throws Forbidden for what goes wrong, where a
 * policy does not say that it may be ignored. Source: apiserver pkg/admission/plugin/policy/mutating/dispatcher.go, v0.37.
 */
export function mutateByPolicies(
  deps: PolicyDeps,
  { attributes }: HeldRequest,
  { policies, rounds }: { readonly policies: readonly CompiledMutatingPolicy[]; readonly rounds: Rounds },
): boolean {
  const before = attributes.object
  const matched = policies.map((policy) => ({ policy, ...matchPolicy(deps, attributes, policy) }))
  const denials = matched.flatMap(({ policy, problems }) =>
    problems.flatMap((problem) => denialOf(policy, problem, 'Forbidden')),
  )
  for (const { policy, invocations } of matched) {
    for (const invocation of invocations) {
      const { binding } = invocation
      const problems = invoke(deps, attributes, { policy, invocation, rounds })
      denials.push(...problems.flatMap((message) => denialOf(policy, { binding, message }, 'Invalid')))
    }
  }
  if (denials[0] !== undefined) throw refusal(attributes, denials[0], denials)
  return attributes.object !== before
}

interface Invoked {
  readonly policy: CompiledMutatingPolicy
  readonly invocation: Invocation
  readonly rounds: Rounds
}

/** Makes the policy's mutations in their order; returns what is wrong with them. */
function invoke(deps: PolicyDeps, attributes: Attributes, { policy, invocation, rounds }: Invoked): string[] {
  const { binding, params } = invocation
  const id = [policy.name, binding.name, params?.metadata.namespace, params?.metadata.name].join('/')
  const problems: string[] = []
  try {
    const activation = withVariables(policy.variables, activate(deps, attributes, invocation), newBudget())
    if (!holdConditions(policy.conditions, activation, policy.failurePolicy)) return problems
  } catch (error) {
    return [(error as Error).message]
  }
  if (rounds.isSecond && !rounds.again.has(id)) return problems
  const before = attributes.object
  for (const mutation of policy.mutations) {
    if (attributes.object === undefined) break
    try {
      mutateOnce(deps, attributes, { policy, invocation, mutation })
    } catch (error) {
      problems.push((error as Error).message)
    }
  }
  if (attributes.object !== before) noteChange(rounds)
  if (policy.reinvocationPolicy === 'IfNeeded') rounds.previous.add(id)
  return problems
}

function mutateOnce(
  deps: PolicyDeps,
  attributes: Attributes,
  { policy, invocation, mutation }: Omit<Invoked, 'rounds'> & { readonly mutation: CompiledMutation },
): void {
  const { version } = invocation
  const budget = newBudget()
  const activation = withVariables(policy.variables, activate(deps, attributes, invocation), budget)
  const value = fromCelValue(evaluate(mutation.expression, activation, budget))
  const before = attributes.objectIn(version)!
  const schema = attributes.ownKind === undefined ? version.definition.info.schema() : requireSchema(version.kind)
  const changed = mutation.patchType === 'JSONPatch' ? patched(before, value) : merged(before, schema, value)
  if (changed === before) return
  const made = fromServed(attributes, version, changed, 'Strict')
  if (!deepEqual(made, attributes.object)) attributes.replaceObject(made)
}

/** A test of the patch that does not hold means that there is nothing to do. */
function patched(before: KubeObject, value: unknown): unknown {
  if (!Array.isArray(value)) throw new Error('type mismatch: JSONPatchType.expression should evaluate to array')
  try {
    return applyJsonPatch(before, parseJsonPatch(value))
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    const why = error.details?.causes?.[0]?.message ?? error.message
    if (why.endsWith('test failed')) return before
    throw new Error(`JSON Patch: ${why}`, { cause: error })
  }
}

function merged(before: KubeObject, schema: StructSchema, value: unknown): unknown {
  if (!isRecord(value)) throw new Error('must evaluate to Object')
  try {
    const live = before as unknown as Record<string, unknown>
    return mergeConfiguration(live, value, schema)
  } catch (error) {
    throw new Error(`error applying patch: ${(error as Error).message}`, { cause: error })
  }
}

function denialOf(
  { name, failurePolicy }: CompiledMutatingPolicy,
  { binding, message }: PolicyProblem,
  reason: string,
): Denial[] {
  if (failurePolicy === 'Ignore') return []
  const subject =
    binding === undefined ? `policy ${JSON.stringify(name)}` : `policy '${name}' with binding '${binding.name}'`
  return [{ message: `${subject} denied request: ${message}`, reason }]
}

/** A Forbidden with the words and the reason of the first. Source: apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go. */
function refusal(attributes: Attributes, first: Denial, all: readonly Denial[]): StatusError {
  const { code, details } = forbidden(attributes.requested.resource, shownName(attributes), '')
  return new StatusError({
    reason: 'Forbidden',
    message: first.message,
    details: { ...details, causes: all.map(({ message }) => ({ message })) },
    answer: { code, reason: first.reason },
  })
}
