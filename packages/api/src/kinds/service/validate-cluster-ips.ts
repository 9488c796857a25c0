import type { Service, ServiceSpec } from '../../generated/types/core/v1.ts'
import { duplicate, FieldPath, forbiddenField, invalid, type FieldError } from '../../status/field-error.ts'
import { checkOneOf } from '../shared/check.ts'
import { checkIpStrict, parseIp } from '../shared/ip.ts'
import { needsHealthCheckNodePort } from './defaults.ts'

const path = new FieldPath('spec')
const addressesPath = path.child('clusterIPs')
const familiesPath = path.child('ipFamilies')
const FAMILY_POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack']

/** Whether the service has no address of its own. */
export function isHeadless({ clusterIP, clusterIPs }: Readonly<ServiceSpec>): boolean {
  return clusterIPs?.[0] === 'None' || (clusterIPs === undefined && clusterIP === 'None')
}

/** Source: ValidateServiceClusterIPsRelatedFields, pkg/apis/core/validation v1.37. The server fills `clusterIPs` from `clusterIP`. */
export function validateClusterIPs(spec: Readonly<ServiceSpec>): FieldError[] {
  if (spec.type === 'ExternalName') return validateNoClusterIPs(spec)
  const { clusterIP = '', clusterIPs = [], ipFamilies = [] } = spec
  const errors: FieldError[] = []
  if (clusterIP === '') {
    if (clusterIPs.length > 0)
      errors.push(invalid(addressesPath, clusterIPs, 'must be empty when `clusterIP` is not specified'))
  } else if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP) {
    errors.push(invalid(addressesPath, clusterIPs, 'first value must match `clusterIP`'))
  }
  for (const [i, family] of ipFamilies.entries()) {
    errors.push(...checkOneOf(family, familiesPath.index(i), ['IPv4', 'IPv6']))
    if (ipFamilies.indexOf(family) < i) errors.push(duplicate(familiesPath.index(i), family))
  }
  errors.push(...checkOneOf(spec.ipFamilyPolicy, path.child('ipFamilyPolicy'), FAMILY_POLICIES))
  return [
    ...errors,
    ...validateAddresses(clusterIPs.length === 0 && clusterIP !== '' ? [clusterIP] : clusterIPs, ipFamilies),
  ]
}

function validateNoClusterIPs(spec: Readonly<ServiceSpec>): FieldError[] {
  const detail = 'may not be set for ExternalName services'
  const errors: FieldError[] = []
  if ((spec.clusterIP ?? '') !== '' || (spec.clusterIPs ?? []).length > 0)
    errors.push(forbiddenField(addressesPath, detail))
  if ((spec.ipFamilies ?? []).length > 0) errors.push(forbiddenField(familiesPath, detail))
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField(path.child('ipFamilyPolicy'), detail))
  return errors
}

function validateAddresses(addresses: readonly string[], families: readonly string[]): FieldError[] {
  const errors: FieldError[] = []
  if (addresses[0] === 'None') {
    return addresses.length === 1 ? [] : [invalid(addressesPath, addresses, "'None' must be the first and only value")]
  }
  for (const [i, address] of addresses.entries()) errors.push(...checkIpStrict(address, addressesPath.index(i)))
  const hasBadAddress = errors.length > 0
  if (addresses.length > 2) errors.push(invalid(addressesPath, addresses, 'may only hold up to 2 values'))
  if (hasBadAddress) return errors
  const found = addresses.map((address) => parseIp(address)!.family)
  if (found.length === 2 && found[0] === found[1]) {
    errors.push(invalid(addressesPath, addresses, 'may specify no more than one IP for each IP family'))
  }
  for (const [i, family] of families.slice(0, addresses.length).entries()) {
    if (family === found[i]) continue
    errors.push(
      invalid(addressesPath.index(i), addresses[i], `expected an ${family} value as indicated by \`ipFamilies[${i}]\``),
    )
  }
  return errors
}

/** What a service keeps for its life. Source: ValidateServiceUpdate. */
export function validateServiceUpdate(
  { spec = {} }: Readonly<Service>,
  { spec: old = {} }: Readonly<Service>,
): FieldError[] {
  const errors: FieldError[] = []
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName') {
    if (!isHeadless(spec) || !isHeadless(old)) errors.push(...validateAddressUpdate(spec, old))
    if (!isHeadless(spec) && !isHeadless(old)) errors.push(...validateFamilyUpdate(spec, old))
  }
  if (spec.type === 'LoadBalancer' && old.type === 'LoadBalancer' && spec.loadBalancerClass !== old.loadBalancerClass) {
    errors.push(invalid(path.child('loadBalancerClass'), spec.loadBalancerClass ?? null, 'may not change once set'))
  }
  if (
    needsHealthCheckNodePort(spec) &&
    needsHealthCheckNodePort(old) &&
    spec.healthCheckNodePort !== old.healthCheckNodePort
  ) {
    errors.push(forbiddenField(path.child('healthCheckNodePort'), 'field is immutable'))
  }
  return errors
}

function validateAddressUpdate(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const now = spec.clusterIPs ?? []
  const before = old.clusterIPs ?? []
  const changed = 'may not change once set'
  if (now.length === before.length) {
    return before.flatMap((address, i) => (address === now[i] ? [] : [invalid(addressesPath.index(i), now, changed)]))
  }
  const errors: FieldError[] = []
  if (now.length === 0) errors.push(invalid(addressesPath.index(0), now, 'primary clusterIP can not be unset'))
  else if (before.length > 0 && now[0] !== before[0]) errors.push(invalid(addressesPath.index(0), now, changed))
  if (now.length === 1 && before.length > 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    const detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
    errors.push(invalid(path.child('ipFamilyPolicy'), spec.ipFamilyPolicy ?? null, detail))
  }
  return errors
}

function validateFamilyUpdate(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const now = spec.ipFamilies ?? []
  const before = old.ipFamilies ?? []
  // Left out: the server fills them in again.
  if (now.length === 0) return []
  const errors: FieldError[] = []
  const kept = before.slice(0, now.length)
  if (kept.some((family, i) => family !== now[i]))
    errors.push(invalid(familiesPath.index(0), now, 'may not change once set'))
  if (now.length === 1 && before.length > 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    const detail = "must be set to 'SingleStack' when releasing the secondary ipFamily"
    errors.push(invalid(path.child('ipFamilyPolicy'), spec.ipFamilyPolicy ?? null, detail))
  }
  return errors
}
