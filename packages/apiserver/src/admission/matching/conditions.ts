import {
  CEL_STEPS_MAX,
  celErrorText,
  celStepsOf,
  compileAdmissionCel,
  OUT_OF_BUDGET,
  type AdmissionCelOptions,
  type CompiledCel,
} from '@centaurus/api'
import type { MatchCondition } from '@centaurus/api/admissionregistration/v1'
import type { Activation } from './activation.ts'

/** Source: apiserver pkg/apis/cel config RuntimeCELCostBudgetMatchConditions: a quarter of what the rest may cost. */
const CONDITION_STEPS_MAX = CEL_STEPS_MAX / 4

/** An expression, compiled once. One that does not compile fails each time it is asked. */
export interface CompiledExpression {
  readonly text: string
  readonly compiled: CompiledCel
}

/** `wanted`: the types that it may have; undefined: any. */
export function compileExpression(
  text: string,
  wanted: readonly string[] | undefined,
  options: AdmissionCelOptions,
): CompiledExpression {
  return { text, compiled: compileAdmissionCel(text, wanted, options) }
}

/** What a run may still cost; shared by the expressions of one decision. */
export interface Budget {
  stepsLeft: number
}

export function newBudget(steps: number = CEL_STEPS_MAX): Budget {
  return { stepsLeft: steps }
}

/** Nothing that is asked after this one is answered. */
export class OutOfBudgetError extends Error {
  override readonly name = 'OutOfBudgetError'
}

/** The value of an expression. Throws what is wrong with it, in upstream's words. */
export function evaluate({ text, compiled }: CompiledExpression, activation: Activation, budget: Budget): unknown {
  if (compiled.program === undefined) throw new Error(`compilation error: ${compiled.error}`)
  const { longest } = activation
  const steps = celStepsOf(compiled.program, { longest, characters: () => activation.characters() })
  budget.stepsLeft -= steps
  activation.total.stepsLeft -= steps
  checkBudgets(activation, budget)
  let value: unknown
  try {
    value = compiled.program.run(activation.values)
  } catch (error) {
    if (!(error instanceof OutOfBudgetError)) {
      throw new Error(`expression '${text}' resulted in error: ${celErrorText(error)}`, { cause: error })
    }
  }
  // a variable may have cost too much where its error did not matter, as in `variables.x || true`
  checkBudgets(activation, budget)
  return value
}

function checkBudgets({ total }: Activation, budget: Budget): void {
  if (budget.stepsLeft < 0 || total.stepsLeft < 0) throw new OutOfBudgetError(OUT_OF_BUDGET)
}

export function compileConditions(
  conditions: readonly MatchCondition[] | undefined,
  options: AdmissionCelOptions,
): readonly CompiledExpression[] {
  return (conditions ?? []).map(({ expression }) => compileExpression(expression, ['bool'], options))
}

/**
 * Whether all conditions hold. One that is false decides; else, where one fails, the failure policy does: `Ignore` leaves the request alone,
 * `Fail` throws. Source: apiserver pkg/admission/plugin/webhook/matchconditions/matcher.go, v0.37.
 */
export function holdConditions(
  conditions: readonly CompiledExpression[],
  activation: Activation,
  failurePolicy: string,
): boolean {
  const budget = newBudget(CONDITION_STEPS_MAX)
  const errors: string[] = []
  for (const condition of conditions) {
    try {
      if (evaluate(condition, activation, budget) === false) return false
    } catch (error) {
      errors.push((error as Error).message)
      if (error instanceof OutOfBudgetError) break
    }
  }
  if (errors.length === 0) return true
  if (failurePolicy === 'Ignore') return false
  throw new Error(errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`)
}
