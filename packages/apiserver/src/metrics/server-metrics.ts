import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '@centaurus/base'
import type { WebhookReport } from '../admission/webhooks/reports.ts'
import type { NonResourceRoute, RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import type { TenantRegistries } from '../resource/tenant-registries.ts'
import { splitStoreKey } from '../storage/keys.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'

/** Source: the names and buckets of apiserver pkg/endpoints/metrics, v0.37, so that dashboards work. */
const DURATION_BUCKETS_SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 5, 10, 30, 60]
const REQUEST_LABELS = ['verb', 'group', 'version', 'resource', 'subresource', 'code'] as const
const VERBS: ReadonlyMap<string, string> = new Map([
  ['get', 'GET'],
  ['list', 'LIST'],
  ['watch', 'WATCH'],
  ['create', 'POST'],
  ['update', 'PUT'],
  ['patch', 'PATCH'],
  ['delete', 'DELETE'],
  ['deletecollection', 'DELETECOLLECTION'],
])

export interface ServerMetricsDeps {
  readonly cache: WatchCache
  readonly registries: TenantRegistries
  readonly clock: Clock
}

export interface ServerMetrics {
  /** Counts the request when it is answered. `context` is undefined when it was refused before it was understood. */
  observe(exchange: Exchange, context: RequestContext | undefined): void
  /** Counts a call of an admission webhook, all tenants' together: their names are anybody's choice. */
  observeWebhook(report: WebhookReport): void
  readonly route: NonResourceRoute
  /** For further metrics of this process. */
  readonly registry: Registry
}

/** What the server measures of itself, served as Prometheus text at `/metrics`. Labels are bounded by what the server serves. */
export function createServerMetrics({ cache, registries, clock }: ServerMetricsDeps): ServerMetrics {
  const metrics = new Registry()
  const requests = new Counter({
    name: 'apiserver_request_total',
    help: 'Requests answered, by verb, resource and HTTP code.',
    labelNames: REQUEST_LABELS,
    registers: [metrics],
  })
  const durations = new Histogram({
    name: 'apiserver_request_duration_seconds',
    help: 'Time from the headers of a request to those of its answer.',
    labelNames: ['verb', 'group', 'version', 'resource', 'subresource'] as const,
    buckets: DURATION_BUCKETS_SECONDS,
    registers: [metrics],
  })
  addCacheMetrics(metrics, cache)
  addProcessMetrics(metrics)
  const observeWebhook = createWebhookMetrics(metrics)
  return {
    observeWebhook,
    registry: metrics,
    observe(exchange, context) {
      const startedMs = clock.monotonicMs()
      const labels = labelsOf(registries, context)
      exchange.onAnswer = (code) => {
        requests.inc({ ...labels, code })
        durations.observe(labels, (clock.monotonicMs() - startedMs) / 1000)
      }
    },
    route: {
      path: '/metrics',
      methods: ['GET'],
      async handle(exchange) {
        exchange.respond(200, { 'content-type': metrics.contentType }, await metrics.metrics())
      },
    },
  }
}

/** Source: apiserver pkg/admission/metrics, v0.37; without the label for the webhook's name. */
function createWebhookMetrics(metrics: Registry): (report: WebhookReport) => void {
  const durations = new Histogram({
    name: 'apiserver_admission_webhook_admission_duration_seconds',
    help: 'Time that calls of admission webhooks took, by type, operation and whether the request was rejected.',
    labelNames: ['type', 'operation', 'rejected'] as const,
    buckets: DURATION_BUCKETS_SECONDS,
    registers: [metrics],
  })
  const failOpen = new Counter({
    name: 'apiserver_admission_webhook_fail_open_count',
    help: 'Requests that went on though a webhook could not be asked.',
    labelNames: ['type'] as const,
    registers: [metrics],
  })
  return ({ mutating, operation, outcome, failurePolicy, seconds }) => {
    const type = mutating ? 'admit' : 'validating'
    const isIgnored = outcome === 'failed' && failurePolicy === 'Ignore'
    const rejected = String(outcome !== 'allowed' && !isIgnored)
    durations.observe({ type, operation, rejected }, seconds)
    if (isIgnored) failOpen.inc({ type })
  }
}

interface RequestLabels {
  verb: string
  group: string
  version: string
  resource: string
  subresource: string
}

/** Unknown paths and resources share one set of labels: clients could make up any number. */
function labelsOf(registries: TenantRegistries, context: RequestContext | undefined): RequestLabels {
  const none = { verb: 'OTHER', group: '', version: '', resource: '', subresource: '' }
  if (context === undefined) return none
  const { group, version, resource, subresource, verb } = context.info
  const definition = registries.of(context.info.tenant).find(group, version, resource)
  if (definition === undefined) return { ...none, verb: VERBS.get(verb) ?? 'OTHER' }
  const isKnown = subresource === '' || definition.info.subresources.some((entry) => entry.name === subresource)
  const known = isKnown ? subresource : ''
  return { verb: VERBS.get(verb) ?? 'OTHER', group, version, resource, subresource: known }
}

function addCacheMetrics(metrics: Registry, cache: WatchCache): void {
  const perResource = (name: string, help: string, read: (entry: { size: number; watcherCount: number }) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['group', 'resource'] as const,
      registers: [metrics],
      collect() {
        this.reset()
        for (const [prefix, entry] of cache.entries()) {
          const [, , , group = '', resource = ''] = (splitStoreKey(`${prefix}x`)?.prefix ?? '').split('/')
          this.inc({ group: group === 'core' ? '' : group, resource }, read(entry)) // all tenants together
        }
      },
    })
  perResource('apiserver_storage_objects', 'Objects in the watch cache.', (entry) => entry.size)
  perResource('apiserver_registered_watchers', 'Open watches.', (entry) => entry.watcherCount)
  addReading(metrics, {
    name: 'apiserver_watch_cache_revision',
    help: 'Revision of the store up to which the watch cache is filled.',
    read: () => cache.revision,
  })
  addReading(metrics, {
    name: 'apiserver_watch_cache_commits_total',
    help: 'Commits of the store that the watch cache has taken in.',
    read: () => cache.commits,
  })
}

/** prom-client's own set of these keeps observers running for as long as the process lives; a server must end without a trace. */
function addProcessMetrics(metrics: Registry): void {
  addReading(metrics, {
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process.',
    read: () => process.memoryUsage.rss(),
  })
  addReading(metrics, {
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, user and system.',
    read: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    },
  })
}

interface Reading {
  readonly name: string
  readonly help: string
  readonly read: () => number
}

/** A number that is read when somebody looks. */
function addReading(metrics: Registry, { name, help, read }: Reading): void {
  const gauge: Gauge = new Gauge({ name, help, registers: [], collect: () => gauge.set(read()) })
  metrics.registerMetric(gauge)
}
