import { ask, wantsToSee, type Asked, type AskDeps, type Question } from './ask.ts'
import type { CompiledWebhook } from './compile.ts'
import { CallError, deniedBy } from './refusals.ts'

/**
 * Asks all webhooks that want to see the request at once. Throws the first refusal, in the order of the webhooks.
 * Source: apiserver pkg/admission/plugin/webhook/validating/dispatcher.go, v0.37.
 */
export async function askValidating(deps: AskDeps, asked: Asked, webhooks: readonly CompiledWebhook[]): Promise<void> {
  const questions = asked.compute(() =>
    webhooks.flatMap((webhook): Question[] => {
      const version = wantsToSee(deps, webhook, asked.attributes)
      return version === undefined ? [] : [{ webhook, version, mutating: false }]
    }),
  )
  const refusals = await Promise.all(questions.map((question) => refusalOf(deps, asked, question)))
  const refusal = refusals.find((error) => error !== undefined)
  if (refusal !== undefined) throw refusal
}

async function refusalOf(deps: AskDeps, asked: Asked, question: Question): Promise<Error | undefined> {
  const { name, failurePolicy } = question.webhook
  try {
    const { allowed, result } = await ask(deps, asked, question)
    return allowed ? undefined : deniedBy(name, result)
  } catch (error) {
    if (!(error instanceof CallError)) return error as Error
    return failurePolicy === 'Ignore' ? undefined : error.toStatus()
  }
}
