import type {
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
} from '../../generated/types/admissionregistration/v1.ts'
import { checkDns1035Label, checkDnsSubdomain } from '../../meta/names.ts'
import { duplicate, FieldPath, invalid, notSupported, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkOneOf, checkRequired, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { setRuleDefaults, validateMatchConditions, validateRule } from './rules.ts'
import { validateWebhookService, validateWebhookUrl } from './webhook-client.ts'

type Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration
type Webhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>

const TIMEOUT_SECONDS = 10
const TIMEOUT_SECONDS_MAX = 30
const SERVICE_PORT = 443
const NAME_SEGMENTS_MIN = 3
const REVIEW_VERSIONS = ['v1', 'v1beta1']
const SIDE_EFFECTS = ['None', 'NoneOnDryRun']

/** Source: pkg/apis/admissionregistration/{v1/defaults.go,validation/validation.go} v1.37. */
const shared = {
  allowUnconditionalUpdate: false,
  validate: validateConfiguration,
  columns: [nameColumn, column('Webhooks', 'Number of webhooks', { type: 'integer' }), ageColumn],
  row: ({ metadata, webhooks }, nowMs) => [
    metadata.name,
    (webhooks ?? []).length,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
} satisfies KindBehavior<Configuration>

export const mutatingWebhookConfigurationBehavior: KindBehavior<MutatingWebhookConfiguration> = {
  ...shared,
  setDefaults: (draft) => {
    for (const webhook of draft.webhooks ?? []) {
      setWebhookDefaults(webhook)
      webhook.reinvocationPolicy ??= 'Never'
    }
  },
}

export const validatingWebhookConfigurationBehavior: KindBehavior<ValidatingWebhookConfiguration> = {
  ...shared,
  setDefaults: (draft) => draft.webhooks?.forEach(setWebhookDefaults),
}

function setWebhookDefaults(webhook: Webhook): void {
  webhook.failurePolicy ??= 'Fail'
  webhook.matchPolicy ??= 'Equivalent'
  webhook.namespaceSelector ??= {}
  webhook.objectSelector ??= {}
  webhook.timeoutSeconds ??= TIMEOUT_SECONDS
  webhook.rules?.forEach(setRuleDefaults)
  if (webhook.clientConfig?.service) webhook.clientConfig.service.port ??= SERVICE_PORT
}

function validateConfiguration({ webhooks = [] }: Readonly<Configuration>): FieldError[] {
  const names = webhooks.map((webhook) => webhook.name)
  return webhooks.flatMap((webhook, i) => {
    const path = new FieldPath('webhooks').index(i)
    const repeated = webhook.name && names.indexOf(webhook.name) < i
    return [
      ...validateWebhook(webhook, path),
      ...validateReviewVersions(webhook.admissionReviewVersions ?? [], path.child('admissionReviewVersions')),
      ...(repeated ? [duplicate(path.child('name'), webhook.name)] : []),
    ]
  })
}

function validateWebhook(webhook: Readonly<Webhook>, path: FieldPath): FieldError[] {
  const { sideEffects, timeoutSeconds } = webhook
  const errors = [
    ...checkQualifiedWebhookName(webhook.name, path.child('name')),
    ...(webhook.rules ?? []).flatMap((rule, i) => validateRule(rule, path.child('rules').index(i))),
    ...checkOneOf(webhook.failurePolicy, path.child('failurePolicy'), ['Fail', 'Ignore']),
    ...checkOneOf(webhook.matchPolicy, path.child('matchPolicy'), ['Equivalent', 'Exact']),
    ...checkOneOf(webhook.reinvocationPolicy, path.child('reinvocationPolicy'), ['IfNeeded', 'Never']),
  ]
  const effectsPath = path.child('sideEffects')
  if (!sideEffects) errors.push(required(effectsPath, `must specify one of ${SIDE_EFFECTS.join(', ')}`))
  else if (!SIDE_EFFECTS.includes(sideEffects)) errors.push(notSupported(effectsPath, sideEffects, SIDE_EFFECTS))
  if (timeoutSeconds !== undefined && (timeoutSeconds > TIMEOUT_SECONDS_MAX || timeoutSeconds < 1)) {
    const detail = 'the timeout value must be between 1 and 30 seconds'
    errors.push(invalid(path.child('timeoutSeconds'), timeoutSeconds, detail))
  }
  return [
    ...errors,
    ...validateLabelSelector(webhook.namespaceSelector, path.child('namespaceSelector')),
    ...validateLabelSelector(webhook.objectSelector, path.child('objectSelector')),
    ...validateClient(webhook.clientConfig ?? {}, path.child('clientConfig')),
    ...validateMatchConditions(webhook.matchConditions ?? [], path.child('matchConditions'), { authorizer: true }),
  ]
}

function validateClient({ url, service }: Webhook['clientConfig'], path: FieldPath): FieldError[] {
  if ((url === undefined) === (service === undefined)) {
    return [required(path, 'exactly one of url or service is required')]
  }
  return url === undefined
    ? validateWebhookService(service!, path.child('service'))
    : validateWebhookUrl(url, path.child('url'))
}

function checkQualifiedWebhookName(name: string | undefined, path: FieldPath): FieldError[] {
  const missing = checkRequired(name, path)
  if (!name) return missing
  const messages = checkDnsSubdomain(name)
  if (messages.length > 0) return [invalid(path, name, messages.join(','))]
  return name.split('.').length < NAME_SEGMENTS_MIN
    ? [invalid(path, name, 'should be a domain with at least three segments separated by dots')]
    : []
}

function validateReviewVersions(versions: readonly string[], path: FieldPath): FieldError[] {
  if (versions.length === 0) return [required(path, `must specify one of ${REVIEW_VERSIONS.join(', ')}`)]
  const errors = versions.flatMap((version, i) =>
    versions.indexOf(version) < i
      ? [invalid(path.index(i), version, 'duplicate version')]
      : invalidFor(path.index(i), version, checkDns1035Label(version)),
  )
  if (!versions.some((version) => REVIEW_VERSIONS.includes(version))) {
    errors.push(invalid(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`))
  }
  return errors
}
