import { Listr, PRESET_TIMER, type ListrTask } from 'listr2'
import { describeFailure } from './failure.ts'
import { UserError } from './user-error.ts'

/** Each step with its time; plain lines when the output is no terminal. Why one failed is said once, at the end. */
const OPTIONS = {
  exitOnError: true,
  rendererOptions: { timer: { ...PRESET_TIMER, condition: true }, collapseSubtasks: false, showErrorMessage: false },
  fallbackRenderer: 'simple',
  fallbackRendererOptions: { timer: { ...PRESET_TIMER, condition: true } },
} as const

/** Runs steps one after the other and shows them, as all commands do. Throws {@link UserError}. */
export async function runSteps(steps: readonly ListrTask[]): Promise<void> {
  await new Listr(steps.map(inWords), OPTIONS).run()
}

/** What the terminal shows of a failure is for people. */
function inWords(step: ListrTask): ListrTask {
  return {
    ...step,
    task: async (context, task) => {
      try {
        await step.task(context, task)
      } catch (cause) {
        if (cause instanceof UserError) throw cause
        throw new UserError(describeFailure(cause, { debug: false }), { cause })
      }
    },
  }
}
