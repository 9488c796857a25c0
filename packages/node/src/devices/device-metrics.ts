import type { Metric, Sample } from '../server/metrics-text.ts'

/** Upper bounds in seconds. Source: prometheus DefBuckets. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export type PodResourcesMethod = 'list' | 'get' | 'get_allocatable'

interface Durations {
  readonly counts: number[]
  sum: number
  count: number
}

/** Counts of what plugins and others ask. Source of the names: kubelet metrics/metrics.go, v1.37. */
export class DeviceMetrics {
  readonly #registrations = new Map<string, number>()
  readonly #durations = new Map<string, Durations>()
  readonly #requests = new Map<PodResourcesMethod, number>()
  readonly #errors = new Map<PodResourcesMethod, number>()

  countRegistration(resource: string): void {
    this.#registrations.set(resource, (this.#registrations.get(resource) ?? 0) + 1)
  }

  observeAllocation(resource: string, seconds: number): void {
    const durations = this.#durations.get(resource) ?? { counts: BUCKETS.map(() => 0), sum: 0, count: 0 }
    this.#durations.set(resource, durations)
    for (const [i, bound] of BUCKETS.entries()) if (seconds <= bound) durations.counts[i]! += 1
    durations.sum += seconds
    durations.count += 1
  }

  countPodResources(method: PodResourcesMethod, isGood: boolean): void {
    this.#requests.set(method, (this.#requests.get(method) ?? 0) + 1)
    if (!isGood) this.#errors.set(method, (this.#errors.get(method) ?? 0) + 1)
  }

  read(): Metric[] {
    const version = { server_api_version: 'v1' }
    const total = [...this.#requests.values()].reduce((sum, count) => sum + count, 0)
    const perMethod = (kind: 'requests' | 'errors', counts: ReadonlyMap<PodResourcesMethod, number>): Metric[] =>
      [...counts].map(([method, value]) => ({
        name: `kubelet_pod_resources_endpoint_${kind}_${method}`,
        type: 'counter',
        help: `[ALPHA] Number of ${kind} of the PodResource endpoint by method. Broken down by server api version.`,
        samples: [{ labels: version, value }],
      }))
    return [
      {
        name: 'kubelet_device_plugin_registration_total',
        type: 'counter',
        help: '[ALPHA] Cumulative number of device plugin registrations. Broken down by resource name.',
        samples: [...this.#registrations].map(([name, value]) => ({ labels: { resource_name: name }, value })),
      },
      {
        name: 'kubelet_device_plugin_alloc_duration_seconds',
        type: 'histogram',
        help: '[ALPHA] Duration in seconds to serve a device plugin Allocation request. Broken down by resource name.',
        samples: [...this.#durations].flatMap(([name, durations]) => histogramSamples(name, durations)),
      },
      {
        name: 'kubelet_pod_resources_endpoint_requests_total',
        type: 'counter',
        help: '[ALPHA] Cumulative number of requests to the PodResource endpoint. Broken down by server api version.',
        samples: total === 0 ? [] : [{ labels: version, value: total }],
      },
      ...perMethod('requests', this.#requests),
      ...perMethod('errors', this.#errors),
    ]
  }
}

function histogramSamples(resource: string, { counts, sum, count }: Durations): Sample[] {
  const labels = { resource_name: resource }
  const buckets = [...BUCKETS.map((bound, i) => [String(bound), counts[i]!] as const), ['+Inf', count] as const]
  return [
    ...buckets.map(([le, value]) => ({ suffix: '_bucket', labels: { ...labels, le }, value })),
    { suffix: '_sum', labels, value: sum },
    { suffix: '_count', labels, value: count },
  ]
}
