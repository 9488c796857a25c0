import { everything, nothing, selectorFromObject, type LabelSelector as Selector } from '@centaurus/api'
import type {
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
  WebhookClientConfig,
} from '@centaurus/api/admissionregistration/v1'
import type { LabelSelector } from '@centaurus/api/meta/v1'
import { compileConditions, type CompiledExpression } from '../matching/conditions.ts'
import type { MatchCriteria } from '../matching/match-request.ts'

type Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration
type Webhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>

const TIMEOUT_SECONDS_DEFAULT = 10

/** A webhook as it is used: what can be read once is read. */
export interface CompiledWebhook {
  /** Tells webhooks of a tenant apart. */
  readonly id: string
  readonly name: string
  readonly criteria: MatchCriteria
  readonly conditions: readonly CompiledExpression[]
  readonly failurePolicy: string
  readonly timeoutMs: number
  readonly sideEffects: string
  readonly reinvocationPolicy: string
  readonly reviewVersions: readonly string[]
  readonly client: WebhookClientConfig
}

/** All webhooks of the configurations, by configuration name and then in their order. Source: apiserver pkg/admission/configuration, v0.37. */
export function compileWebhooks(configurations: readonly Readonly<Configuration>[]): readonly CompiledWebhook[] {
  const sorted = configurations.toSorted((a, b) => compareText(a.metadata.name ?? '', b.metadata.name ?? ''))
  return sorted.flatMap(({ metadata, webhooks = [] }) =>
    webhooks.map((webhook, i) => compileWebhook(webhook, `${metadata.name}/${webhook.name}/${i}`)),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function compileWebhook(webhook: Readonly<Webhook>, id: string): CompiledWebhook {
  return {
    id,
    name: webhook.name,
    criteria: {
      rules: webhook.rules ?? [],
      excluded: [],
      matchPolicy: webhook.matchPolicy ?? 'Equivalent',
      namespaceSelector: readSelector(webhook.namespaceSelector),
      objectSelector: readSelector(webhook.objectSelector),
    },
    conditions: compileConditions(webhook.matchConditions, { authorizer: true }),
    failurePolicy: webhook.failurePolicy ?? 'Fail',
    timeoutMs: (webhook.timeoutSeconds ?? TIMEOUT_SECONDS_DEFAULT) * 1000,
    sideEffects: webhook.sideEffects,
    reinvocationPolicy: webhook.reinvocationPolicy ?? 'Never',
    reviewVersions: webhook.admissionReviewVersions,
    client: webhook.clientConfig,
  }
}

/** An absent selector selects everything here; one that can't be read was refused when it was written. */
export function readSelector(selector: LabelSelector | undefined): Selector {
  if (selector === undefined) return everything
  try {
    return selectorFromObject(selector)
  } catch {
    return nothing
  }
}
