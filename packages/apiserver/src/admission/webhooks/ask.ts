import { randomUUID } from 'node:crypto'
import { forbidden, StatusError, SYSTEM_TENANT, timeout } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import type { Authorizer } from '../../access/access.ts'
import { createActivation } from '../matching/activation.ts'
import type { Attributes, ServedVersion } from '../matching/attributes.ts'
import { holdConditions } from '../matching/conditions.ts'
import { matchRequest, type MatchWorld } from '../matching/match-request.ts'
import type { Warnings } from '../matching/warnings.ts'
import type { WebhookCaller } from './call.ts'
import type { CompiledWebhook } from './compile.ts'
import { SHARED_CALL_MS_MAX, type Patience } from './patience.ts'
import { CallError, noDryRun } from './refusals.ts'
import type { WebhookReport } from './reports.ts'
import { buildReview, chooseReviewVersion, readVerdict, type Verdict } from './review.ts'

/** What asking webhooks takes. */
export interface AskDeps extends MatchWorld {
  readonly caller: WebhookCaller
  readonly patience: Patience
  readonly authorizer: Authorizer
  readonly clock: Clock
  /** Told of each call when it has ended. */
  readonly report: (report: WebhookReport) => void
}

/** One request on its way by the webhooks. */
export interface Asked {
  readonly attributes: Attributes
  readonly warnings: Warnings
  /** How long all of them may take from now on; at most. */
  readonly msLeft: () => number
  /** Does some work on the tenant's account. Throws TooManyRequests when the tenant has none left. */
  readonly compute: <T>(work: () => T) => T
}

/**
 * The version in which the webhook wants to see the request; undefined when it does not want to. Throws NotFound, or Forbidden when its
 * conditions can't be evaluated. Source: apiserver pkg/admission/plugin/webhook/generic/webhook.go ShouldCallHook, v0.37.
 */
export function wantsToSee(deps: AskDeps, webhook: CompiledWebhook, attributes: Attributes): ServedVersion | undefined {
  const version = matchRequest(deps, attributes, webhook.criteria)
  if (version === undefined || webhook.conditions.length === 0) return version
  try {
    const activation = createActivation(attributes, { version, authorizer: deps.authorizer })
    return holdConditions(webhook.conditions, activation, webhook.failurePolicy) ? version : undefined
  } catch (error) {
    throw forbidden(attributes.requested.resource, attributes.name, (error as Error).message)
  }
}

export interface Question {
  readonly webhook: CompiledWebhook
  readonly version: ServedVersion
  readonly mutating: boolean
}

/**
 * Asks one webhook. Throws `CallError` when it has no valid answer, BadRequest when it can't be asked on a dry run. Its audit annotations
 * go nowhere: there is no audit log.
 */
export async function ask(deps: AskDeps, asked: Asked, { webhook, version, mutating }: Question): Promise<Verdict> {
  const { attributes, warnings } = asked
  if (attributes.request.dryRun && webhook.sideEffects !== 'None' && webhook.sideEffects !== 'NoneOnDryRun') {
    throw noDryRun(webhook.name)
  }
  const ownMs = isShared(attributes) ? Math.min(webhook.timeoutMs, SHARED_CALL_MS_MAX) : webhook.timeoutMs
  const timeoutMs = Math.min(ownMs, asked.msLeft())
  if (timeoutMs <= 0) throw requestTimeout()
  const verdict = await callReported(deps, { asked, question: { webhook, version, mutating }, timeoutMs })
  for (const warning of verdict.warnings) warnings.add(warning)
  return verdict
}

interface Call {
  readonly asked: Asked
  readonly question: Question
  readonly timeoutMs: number
}

async function callReported(deps: AskDeps, call: Call): Promise<Verdict> {
  const { webhook, mutating } = call.question
  const { tenant, operation } = call.asked.attributes
  const { name, failurePolicy } = webhook
  const beganMs = deps.clock.monotonicMs()
  const report = (outcome: WebhookReport['outcome'], error?: string): void => {
    const seconds = (deps.clock.monotonicMs() - beganMs) / 1000
    deps.report({ tenant, webhook: name, mutating, operation, outcome, failurePolicy, seconds, error })
  }
  try {
    const verdict = await callOnce(deps, call)
    report(verdict.allowed ? 'allowed' : 'denied')
    return verdict
  } catch (error) {
    report('failed', (error as Error).message)
    throw error
  }
}

/** What serves all tenants writes here, and must not wait for one of them. */
function isShared({ tenant, user }: Attributes): boolean {
  return tenant !== SYSTEM_TENANT && user.tenant !== tenant
}

/** 504: webhooks that fail open took all of the time that a request has. */
export function requestTimeout(): Error {
  return timeout('request did not complete within requested timeout')
}

async function callOnce(deps: AskDeps, call: Call): Promise<Verdict> {
  const { webhook, version, mutating } = call.question
  const { attributes, compute } = call.asked
  const uid = randomUUID()
  const write = (reviewVersion: string): string =>
    compute(() => JSON.stringify(buildReview(attributes, { version, uid, reviewVersion })))
  try {
    const reviewVersion = chooseReviewVersion(webhook.reviewVersions)
    const body = write(reviewVersion)
    const { client } = webhook
    const { tenant } = attributes
    const leave = isShared(attributes) ? deps.patience.enter(tenant) : undefined
    try {
      const answer = await deps.caller.post({ tenant, client, body, timeoutMs: call.timeoutMs })
      return readChecked(answer, { uid, reviewVersion, mutating })
    } finally {
      leave?.()
    }
  } catch (error) {
    if (error instanceof StatusError) throw error
    throw new CallError(webhook.name, (error as Error).message)
  }
}

function readChecked(answer: unknown, expected: Parameters<typeof readVerdict>[1]): Verdict {
  try {
    return readVerdict(answer, expected)
  } catch (error) {
    throw new Error(`received invalid webhook response: ${(error as Error).message}`, { cause: error })
  }
}
