import type { Service, ServiceSpec } from '../../generated/types/core/v1.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { isExternallyAccessible, needsHealthCheckNodePort, needsNodePort } from './defaults.ts'

/**
 * Lets a user change a service's type without naming what the old type had been given: fields that only the old type has are
 * dropped when they are unchanged, and what was allocated is kept when it is left out.
 * Source: dropTypeDependentFields and patchAllocatedValues, pkg/registry/core/service v1.37.
 */
export function prepareServiceForUpdate(draft: Service, old: Readonly<Service>): void {
  const spec = (draft.spec ??= {})
  const before = old.spec ?? {}
  keepAllocated(spec, before)
  dropClusterFields(spec, before)
  if (needsNodePort(before) && !needsNodePort(spec) && hasNoNewNodePorts(spec, before)) {
    for (const port of spec.ports ?? []) delete port.nodePort
  }
  if (needsHealthCheckNodePort(before) && !needsHealthCheckNodePort(spec))
    dropUnchanged(spec, before, 'healthCheckNodePort')
  if (before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    dropUnchanged(spec, before, 'allocateLoadBalancerNodePorts')
    dropUnchanged(spec, before, 'loadBalancerClass')
  }
  if (isExternallyAccessible(before) && !isExternallyAccessible(spec))
    dropUnchanged(spec, before, 'externalTrafficPolicy')
  if (spec.type !== 'LoadBalancer' && draft.status !== undefined) draft.status = { ...draft.status, loadBalancer: {} }
}

function dropClusterFields(spec: ServiceSpec, before: Readonly<ServiceSpec>): void {
  if (before.type === 'ExternalName' || spec.type !== 'ExternalName') return
  if (spec.clusterIP === before.clusterIP && semanticEqual(spec.clusterIPs, before.clusterIPs)) {
    delete spec.clusterIP
    delete spec.clusterIPs
  }
  dropUnchanged(spec, before, 'ipFamilies')
  dropUnchanged(spec, before, 'ipFamilyPolicy')
}

function dropUnchanged(spec: ServiceSpec, before: Readonly<ServiceSpec>, field: keyof ServiceSpec): void {
  if (semanticEqual(spec[field], before[field])) delete spec[field]
}

function nodePortsOf(spec: Readonly<ServiceSpec>): Set<number> {
  return new Set((spec.ports ?? []).flatMap((port) => (port.nodePort ? [port.nodePort] : [])))
}

function hasNoNewNodePorts(spec: ServiceSpec, before: Readonly<ServiceSpec>): boolean {
  const earlier = nodePortsOf(before)
  return [...nodePortsOf(spec)].every((port) => earlier.has(port))
}

function keepAllocated(spec: ServiceSpec, before: Readonly<ServiceSpec>): void {
  if (before.type !== 'ExternalName' && spec.type !== 'ExternalName') {
    if (!spec.clusterIP && before.clusterIP !== undefined) spec.clusterIP = before.clusterIP
    if ((spec.clusterIPs ?? []).length === 0 && before.clusterIPs !== undefined)
      spec.clusterIPs = [...before.clusterIPs]
  }
  if (needsNodePort(before) && needsNodePort(spec)) keepNodePorts(spec, before)
  if (needsHealthCheckNodePort(before) && needsHealthCheckNodePort(spec) && before.healthCheckNodePort) {
    spec.healthCheckNodePort = spec.healthCheckNodePort || before.healthCheckNodePort
  }
}

function keepNodePorts(spec: ServiceSpec, before: Readonly<ServiceSpec>): void {
  const used = nodePortsOf(spec)
  const byName = new Map((before.ports ?? []).map((port) => [port.name ?? '', port.nodePort]))
  for (const port of spec.ports ?? []) {
    if (port.nodePort) continue
    const earlier = byName.get(port.name ?? '')
    if (earlier && !used.has(earlier)) port.nodePort = earlier
  }
}
