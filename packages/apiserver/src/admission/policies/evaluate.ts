import { CEL_MESSAGE_BYTES_MAX, longestCollection } from '@centaurus/api'
import type { Activation } from '../matching/activation.ts'
import { evaluate, holdConditions, newBudget, OutOfBudgetError, type Budget } from '../matching/conditions.ts'
import type { CompiledPolicy, CompiledValidation, CompiledVariable } from './compile.ts'

/** One reason against the request. */
export interface Denial {
  readonly message: string
  /** Of the refusal's status. */
  readonly reason: string
}

const DEFAULT_REASON = 'Invalid'

/** Reasons of the policy's validations, for which a binding says what to do; and what must refuse the request whatever it says. */
export interface PolicyOutcome {
  readonly denials: readonly Denial[]
  readonly fatal: readonly Denial[]
}

const NOTHING: PolicyOutcome = { denials: [], fatal: [] }

/**
 * Holds a policy against one request and one parameter. Values of audit annotations go nowhere, as there is no audit log; that they can be
 * computed counts all the same. Source: apiserver pkg/admission/plugin/policy/validating/validator.go, v0.37.
 */
export function evaluatePolicy(policy: CompiledPolicy, activate: () => Activation): PolicyOutcome {
  const onError = (error: unknown): PolicyOutcome =>
    policy.failurePolicy === 'Ignore' ? NOTHING : { denials: [failure(error)], fatal: [] }
  const budget = newBudget()
  try {
    const activation = withVariables(policy.variables, activate(), budget)
    if (!holdConditions(policy.conditions, activation, policy.failurePolicy)) return NOTHING
    const denials = policy.validations.flatMap((validation) => {
      const denial = denialOf(validation, activation, { budget, failurePolicy: policy.failurePolicy })
      return denial === undefined ? [] : [denial]
    })
    return { denials, fatal: annotationErrors(policy, activation) }
  } catch (error) {
    return onError(error)
  }
}

function failure(error: unknown): Denial {
  return { message: (error as Error).message, reason: DEFAULT_REASON }
}

interface Judging {
  readonly budget: Budget
  readonly failurePolicy: string
}

function denialOf(
  validation: CompiledValidation,
  activation: Activation,
  { budget, failurePolicy }: Judging,
): Denial | undefined {
  try {
    if (evaluate(validation.expression, activation, budget) === true) return undefined
    return { message: messageOf(validation, activation, budget), reason: validation.reason }
  } catch (error) {
    if (error instanceof OutOfBudgetError) throw error
    return failurePolicy === 'Ignore' ? undefined : failure(error)
  }
}

/** The expression's, if it makes a line of text; else the fixed one; else the expression itself. */
function messageOf(
  { messageExpression, message, expression }: CompiledValidation,
  activation: Activation,
  budget: Budget,
): string {
  const fallback = message === '' ? `failed expression: ${expression.text.trim()}` : message
  if (messageExpression === undefined) return fallback
  try {
    const value = evaluate(messageExpression, activation, budget)
    const text = typeof value === 'string' ? value.trim() : ''
    const isLine = text !== '' && !text.includes('\n') && Buffer.byteLength(text) <= CEL_MESSAGE_BYTES_MAX
    return isLine ? text : fallback
  } catch (error) {
    if (error instanceof OutOfBudgetError)
      throw new Error(`failed messageExpression: ${error.message}`, { cause: error })
    return fallback
  }
}

function annotationErrors({ auditAnnotations, failurePolicy }: CompiledPolicy, activation: Activation): Denial[] {
  if (failurePolicy === 'Ignore') return []
  const budget = newBudget()
  return auditAnnotations.flatMap((annotation) => {
    try {
      evaluate(annotation, activation, budget)
      return []
    } catch (error) {
      return [failure(error)]
    }
  })
}

/** Variables are computed when an expression first names them, at the cost of whoever does. */
export function withVariables(variables: readonly CompiledVariable[], plain: Activation, budget: Budget): Activation {
  const scope: Record<string, unknown> = {}
  const activation: Activation = { ...plain, values: { ...plain.values, variables: scope } }
  for (const variable of variables) {
    let state: { readonly value: unknown } | 'computing' | undefined
    Object.defineProperty(scope, variable.name, {
      enumerable: true,
      get: () => {
        if (state === 'computing')
          throw new Error(`composited variable ${JSON.stringify(variable.name)} refers to itself`)
        if (state === undefined) {
          state = 'computing'
          state = { value: computeVariable(variable, activation, budget) }
        }
        return state.value
      },
    })
  }
  return activation
}

function computeVariable({ name, expression }: CompiledVariable, activation: Activation, budget: Budget): unknown {
  try {
    const value = evaluate(expression, activation, budget)
    // who walks it later pays for it
    activation.longest = Math.max(activation.longest, longestCollection(value))
    return value
  } catch (error) {
    if (error instanceof OutOfBudgetError) throw error
    const why = (error as Error).message.replace(/^expression '.*' resulted in error: /s, '')
    throw new Error(`composited variable ${JSON.stringify(name)} fails to evaluate: ${why}`, { cause: error })
  }
}
