import type { Service } from '@centaurus/api/core/v1'

/** What load balancers ask a node: whether it has endpoints of a Service whose `externalTrafficPolicy` is Local. */
export interface HealthCheck {
  readonly namespace: string
  readonly name: string
  readonly port: number
  /** Ready endpoints of this host. */
  readonly localEndpoints: number
}

export interface HealthAnswer {
  readonly status: 200 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Undefined: the Service has no such port. Source: kubernetes pkg/api/v1/service NeedsHealthCheck. */
export function planHealthCheck(
  { metadata, spec }: Readonly<Service>,
  localEndpoints: number,
): HealthCheck | undefined {
  const port = spec?.healthCheckNodePort ?? 0
  if (port === 0 || spec?.type !== 'LoadBalancer' || spec.externalTrafficPolicy !== 'Local') return undefined
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '', port, localEndpoints }
}

/** Source: kubernetes pkg/proxy/healthcheck/service_health.go. */
export function answerHealthCheck(check: HealthCheck, { isHealthy }: { readonly isHealthy: boolean }): HealthAnswer {
  const { namespace, name, localEndpoints } = check
  return {
    status: localEndpoints > 0 && isHealthy ? 200 : 503,
    headers: {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
    },
    body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy: isHealthy }),
  }
}
