import type { LoadBalancerStatus, Service, ServicePort, ServiceSpec } from '../../generated/types/core/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkQualifiedName } from '../../meta/names.ts'
import { validateLabels } from '../../meta/validate-object-meta.ts'
import {
  duplicate,
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
} from '../../status/field-error.ts'
import { PORT_PROTOCOLS } from '../pod/policies.ts'
import { checkOneOf, checkPort, checkPortNumber, checkRequiredOneOf, invalidFor } from '../shared/check.ts'
import { checkEndpointIp, checkIpStrict, parseIp } from '../shared/ip.ts'
import { isExternallyAccessible, needsHealthCheckNodePort } from './defaults.ts'
import { isHeadless, validateClusterIPs } from './validate-cluster-ips.ts'
import { validateSourceRanges } from './validate-source-ranges.ts'

const AFFINITY_SECONDS_MAX = 86_400
const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const TRAFFIC_DISTRIBUTIONS = ['PreferClose', 'PreferSameZone', 'PreferSameNode']
const path = new FieldPath('spec')

/** Rules of a service, run before the server allocates addresses and ports. Source: validateService, pkg/apis/core/validation v1.37. */
export function validateService(service: Readonly<Service>): FieldError[] {
  const spec = service.spec ?? {}
  return [
    ...validateType(spec),
    ...validatePorts(spec),
    ...validateLabels(spec.selector ?? {}, path.child('selector')),
    ...validateSessionAffinity(spec),
    ...validateClusterIPs(spec),
    ...(spec.externalIPs ?? []).flatMap((ip, i) => {
      const errors = checkIpStrict(ip, path.child('externalIPs').index(i))
      return errors.length > 0 ? errors : checkEndpointIp(ip, path.child('externalIPs').index(i))
    }),
    ...checkRequiredOneOf(spec.type, path.child('type'), TYPES),
    ...validateNodePorts(spec),
    ...validateSourceRanges(service),
    ...validateLoadBalancerFields(spec),
    ...validateTrafficPolicies(spec),
  ]
}

/** Source: ValidateLoadBalancerStatus. */
export function validateServiceStatusUpdate({ spec, status }: Readonly<Service>, old: Readonly<Service>): FieldError[] {
  const at = new FieldPath('status.loadBalancer.ingress')
  const ingress = status?.loadBalancer?.ingress ?? []
  if (spec?.type !== 'LoadBalancer' && ingress.length > 0) {
    return [forbiddenField(at, "may only be used when `spec.type` is 'LoadBalancer'")]
  }
  const known = (old.status?.loadBalancer?.ingress ?? []).map((entry) => entry.ip)
  return ingress.flatMap((entry, i) => validateIngress(entry, at.index(i), known))
}

/** An address or name of a load balancer; also for Ingress, which has no mode. */
export function validateIngressAddress(
  entry: { readonly ip?: string | undefined; readonly hostname?: string | undefined },
  at: FieldPath,
  known: readonly (string | undefined)[],
): FieldError[] {
  const errors = entry.ip && !known.includes(entry.ip) ? checkIpStrict(entry.ip, at.child('ip')) : []
  if (!entry.hostname) return errors
  errors.push(...invalidFor(at.child('hostname'), entry.hostname, checkDnsSubdomain(entry.hostname)))
  if (parseIp(entry.hostname) !== undefined) {
    errors.push(invalid(at.child('hostname'), entry.hostname, 'must be a DNS name, not an IP address'))
  }
  return errors
}

type Ingress = NonNullable<LoadBalancerStatus['ingress']>[number]

function validateIngress(entry: Ingress, at: FieldPath, known: readonly (string | undefined)[]): FieldError[] {
  const errors = validateIngressAddress(entry, at, known)
  const mode = at.child('ipMode')
  if (entry.ipMode === undefined) {
    if (entry.ip) errors.push(required(mode, 'must be specified when `ip` is set'))
  } else if (!entry.ip) errors.push(forbiddenField(mode, 'may not be specified when `ip` is not set'))
  else errors.push(...checkOneOf(entry.ipMode, mode, ['Proxy', 'VIP']))
  return errors
}

function validateType(spec: Readonly<ServiceSpec>): FieldError[] {
  const errors: FieldError[] = []
  const addresses = path.child('clusterIPs')
  if ((spec.ports ?? []).length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') {
    errors.push(required(path.child('ports')))
  }
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(spec)) {
    errors.push(invalid(addresses.index(0), 'None', `may not be set to 'None' for ${spec.type} services`))
  }
  if (spec.type !== 'ExternalName') return errors
  const detail = 'may not be set for ExternalName services'
  if ((spec.clusterIPs ?? []).length > 0) errors.push(forbiddenField(addresses, detail))
  if ((spec.ipFamilies ?? []).length > 0) errors.push(forbiddenField(path.child('ipFamilies'), detail))
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField(path.child('ipFamilyPolicy'), detail))
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  const at = path.child('externalName')
  return [...errors, ...(name === '' ? [required(at)] : invalidFor(at, name, checkDnsSubdomain(name)))]
}

function validatePorts({ ports = [] }: Readonly<ServiceSpec>): FieldError[] {
  const names = new Set<string>()
  const keys = new Set<string>()
  return ports.flatMap((port, i) => {
    const at = path.child('ports').index(i)
    const errors: FieldError[] = []
    if (!port.name) {
      if (ports.length > 1) errors.push(required(at.child('name')))
    } else {
      errors.push(...invalidFor(at.child('name'), port.name, checkDnsLabel(port.name)))
      if (names.has(port.name)) errors.push(duplicate(at.child('name'), port.name))
      names.add(port.name)
    }
    errors.push(...checkPortNumber(port.port ?? 0, at.child('port')))
    errors.push(...checkRequiredOneOf(port.protocol, at.child('protocol'), PORT_PROTOCOLS))
    errors.push(...checkPort(port.targetPort, at.child('targetPort')))
    if (port.appProtocol !== undefined) {
      errors.push(...invalidFor(at.child('appProtocol'), port.appProtocol, checkQualifiedName(port.appProtocol)))
    }
    const key = `${port.protocol}/${port.port}`
    if (keys.has(key)) errors.push(duplicate(at, { port: port.port, protocol: port.protocol }))
    keys.add(key)
    return errors
  })
}

function validateNodePorts({ type, ports = [] }: Readonly<ServiceSpec>): FieldError[] {
  const keys = new Set<string>()
  return ports.flatMap(({ nodePort, protocol }: ServicePort, i) => {
    const at = path.child('ports').index(i).child('nodePort')
    if (!nodePort) return []
    const key = `${protocol}/${nodePort}`
    const errors = keys.has(key) ? [duplicate(at, nodePort)] : []
    keys.add(key)
    return type === 'ClusterIP' ? [...errors, forbiddenField(at, "may not be used when `type` is 'ClusterIP'")] : errors
  })
}

function validateSessionAffinity(spec: Readonly<ServiceSpec>): FieldError[] {
  const at = path.child('sessionAffinityConfig')
  const errors = checkRequiredOneOf(spec.sessionAffinity, path.child('sessionAffinity'), ['ClientIP', 'None'])
  const config = spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'None') {
    if (config !== undefined) errors.push(forbiddenField(at, 'must not be set when session affinity is None'))
  } else if (spec.sessionAffinity === 'ClientIP') {
    const seconds = config?.clientIP?.timeoutSeconds
    const missing = 'when session affinity type is ClientIP'
    const field = at.child('clientIP', 'timeoutSeconds')
    if (seconds === undefined) errors.push(required(config === undefined ? at : field, missing))
    else if (seconds <= 0 || seconds > AFFINITY_SECONDS_MAX) {
      errors.push(invalid(field, seconds, `must be greater than 0 and less than ${AFFINITY_SECONDS_MAX}`))
    }
  }
  return errors
}

function validateLoadBalancerFields(spec: Readonly<ServiceSpec>): FieldError[] {
  const isBalancer = spec.type === 'LoadBalancer'
  const errors: FieldError[] = []
  const detail = "may only be used when `type` is 'LoadBalancer'"
  const allocate = path.child('allocateLoadBalancerNodePorts')
  if (!isBalancer && spec.allocateLoadBalancerNodePorts !== undefined) errors.push(forbiddenField(allocate, detail))
  const at = path.child('loadBalancerClass')
  const name = spec.loadBalancerClass
  if (name === undefined) return errors
  return isBalancer
    ? [...errors, ...invalidFor(at, name, checkQualifiedName(name))]
    : [...errors, forbiddenField(at, detail)]
}

function validateTrafficPolicies(spec: Readonly<ServiceSpec>): FieldError[] {
  const external = path.child('externalTrafficPolicy')
  const policy = spec.externalTrafficPolicy
  const errors: FieldError[] = []
  if (isExternallyAccessible(spec)) errors.push(...checkRequiredOneOf(policy, external, ['Cluster', 'Local']))
  else if (policy) errors.push(invalid(external, policy, 'may only be set for externally-accessible services'))
  const health = path.child('healthCheckNodePort')
  const port = spec.healthCheckNodePort
  if (!needsHealthCheckNodePort(spec)) {
    const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
    if (port) errors.push(invalid(health, port, detail))
    // Absent means that the server is still to allocate one.
  } else if (port) errors.push(...checkPortNumber(port, health))
  errors.push(...checkOneOf(spec.internalTrafficPolicy, path.child('internalTrafficPolicy'), ['Cluster', 'Local']))
  const distribution = spec.trafficDistribution
  if (distribution === undefined || TRAFFIC_DISTRIBUTIONS.includes(distribution)) return errors
  return [...errors, notSupported(path.child('trafficDistribution'), distribution, TRAFFIC_DISTRIBUTIONS)]
}
