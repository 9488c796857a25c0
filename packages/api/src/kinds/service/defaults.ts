import type { Service, ServiceSpec } from '../../generated/types/core/v1.ts'

const SESSION_AFFINITY_SECONDS = 10_800

/** Source: SetDefaults_Service, pkg/apis/core/v1/defaults.go v1.37. Addresses, families and node ports are the server's to allocate. */
export function defaultService(draft: Service): void {
  const spec = (draft.spec ??= {})
  defaultSessionAffinity(spec)
  spec.type = spec.type || 'ClusterIP'
  for (const port of spec.ports ?? []) {
    port.protocol = port.protocol || 'TCP'
    if (!port.targetPort) port.targetPort = port.port
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy = spec.externalTrafficPolicy || 'Cluster'
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster'
  if (spec.type !== 'LoadBalancer') return
  spec.allocateLoadBalancerNodePorts ??= true
  for (const ingress of draft.status?.loadBalancer?.ingress ?? []) {
    if (ingress.ip) ingress.ipMode ??= 'VIP'
  }
}

/** Whether clients outside of the cluster can reach the service by itself. Source: ExternallyAccessible, pkg/api/v1/service v1.37. */
export function isExternallyAccessible(spec: Readonly<ServiceSpec>): boolean {
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort') return true
  return spec.type === 'ClusterIP' && (spec.externalIPs ?? []).length > 0
}

/** Source: needsNodePort, pkg/registry/core/service v1.37. */
export function needsNodePort(spec: Readonly<ServiceSpec>): boolean {
  return spec.type === 'LoadBalancer' || spec.type === 'NodePort'
}

/** Whether the service has a port on which nodes tell a load balancer about local endpoints. */
export function needsHealthCheckNodePort(spec: Readonly<ServiceSpec>): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
}

function defaultSessionAffinity(spec: ServiceSpec): void {
  spec.sessionAffinity = spec.sessionAffinity || 'None'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: SESSION_AFFINITY_SECONDS } }
  }
}
