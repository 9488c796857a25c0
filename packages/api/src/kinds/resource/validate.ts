import type {
  DeviceClaim,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  DeviceTaint,
  ExactDeviceRequest,
  ResourceSliceSpec,
} from '../../generated/types/resource/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import {
  duplicate,
  invalid,
  required,
  tooLong,
  tooMany,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkOneOf, checkRequired, checkRequiredName, checkRequiredOneOf, invalidFor } from '../shared/check.ts'

const REQUESTS_MAX = 32
const FIRST_AVAILABLE_MAX = 8
const SELECTORS_MAX = 32
const DEVICES_MAX = 128
const DRIVER_BYTES_MAX = 63
const TAINT_EFFECTS = ['NoExecute', 'NoSchedule', 'None']
const ONE_OF = '`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`'

/**
 * What a claim asks for: names, modes and counts. Neither CEL nor configurations nor constraints are looked into.
 * Source of this file: pkg/apis/resource/validation v1.37.
 */
export function validateClaim({ requests = [] }: Readonly<DeviceClaim>, path: FieldPath): FieldError[] {
  const at = path.child('requests')
  const names = requests.map((request) => request.name)
  const errors = requests.length > REQUESTS_MAX ? [tooMany(at, requests.length, REQUESTS_MAX)] : []
  for (const [i, request] of requests.entries()) {
    errors.push(...validateRequest(request, at.index(i)))
    if (names.indexOf(request.name) < i) errors.push(duplicate(at.index(i).child('name'), request.name))
  }
  return errors
}

function validateRequest(request: Readonly<DeviceRequest>, path: FieldPath): FieldError[] {
  const { name, exactly, firstAvailable = [] } = request
  const errors = checkRequiredName(name, path.child('name'), checkDnsLabel)
  const rule = 'exactly one of `exactly` or `firstAvailable` is required'
  if (exactly === undefined && firstAvailable.length === 0) return [...errors, required(path, rule)]
  if (exactly !== undefined && firstAvailable.length > 0) {
    return [...errors, invalid(path, null, `${rule}, but multiple fields are set`)]
  }
  if (exactly !== undefined) return [...errors, ...validateOne(exactly, path.child('exactly'))]
  const at = path.child('firstAvailable')
  const names = firstAvailable.map((one) => one.name)
  if (firstAvailable.length > FIRST_AVAILABLE_MAX) {
    errors.push(tooMany(at, firstAvailable.length, FIRST_AVAILABLE_MAX))
  }
  for (const [i, one] of firstAvailable.entries()) {
    errors.push(...checkRequiredName(one.name, at.index(i).child('name'), checkDnsLabel))
    errors.push(...validateOne(one, at.index(i)))
    if (names.indexOf(one.name) < i) errors.push(duplicate(at.index(i).child('name'), one.name))
  }
  return errors
}

function validateOne(one: Readonly<ExactDeviceRequest | DeviceSubRequest>, path: FieldPath): FieldError[] {
  const { deviceClassName, allocationMode = '', count = 0, selectors = [] } = one
  const errors = [
    ...checkRequiredName(deviceClassName, path.child('deviceClassName'), checkDnsSubdomain),
    ...validateDeviceSelectors(selectors, path.child('selectors')),
    ...checkOneOf(allocationMode, path.child('allocationMode'), ['All', 'ExactCount']),
  ]
  const at = path.child('count')
  if (allocationMode === 'All' && count !== 0) {
    errors.push(invalid(at, count, "must not be specified when allocationMode is 'All'"))
  }
  if (allocationMode === 'ExactCount' && count <= 0) errors.push(invalid(at, count, 'must be greater than zero'))
  return errors
}

export function validateDeviceSelectors(selectors: readonly DeviceSelector[], path: FieldPath): FieldError[] {
  const errors = selectors.length > SELECTORS_MAX ? [tooMany(path, selectors.length, SELECTORS_MAX)] : []
  for (const [i, { cel }] of selectors.entries()) {
    const at = path.index(i).child('cel')
    errors.push(...(cel === undefined ? [required(at)] : checkRequired(cel.expression, at.child('expression'))))
  }
  return errors
}

export function validateSlice(spec: Readonly<ResourceSliceSpec>, path: FieldPath): FieldError[] {
  const { pool, devices = [], nodeName, nodeSelector, allNodes, perDeviceNodeSelection } = spec
  const poolPath = path.child('pool')
  const errors = [
    ...checkDriverName(spec.driver, path.child('driver')),
    ...checkPoolName(pool?.name, poolPath.child('name')),
  ]
  const resourceSliceCount = pool?.resourceSliceCount ?? 0
  const generation = pool?.generation ?? 0
  if (resourceSliceCount <= 0) {
    errors.push(invalid(poolPath.child('resourceSliceCount'), resourceSliceCount, 'must be greater than zero'))
  }
  if (generation < 0) {
    errors.push(invalid(poolPath.child('generation'), generation, 'must be greater than or equal to zero'))
  }
  if (nodeName === '') {
    errors.push(invalid(path.child('nodeName'), '', 'must be either unset or set to a non-empty string'))
  }
  const set = [
    ...(nodeName ? ['`nodeName`'] : []),
    ...(nodeSelector === undefined ? [] : ['`nodeSelector`']),
    ...(allNodes ? ['`allNodes`'] : []),
    ...(perDeviceNodeSelection ? ['`perDeviceNodeSelection`'] : []),
  ]
  const rule = `exactly one of ${ONE_OF} is required`
  if (set.length === 0) errors.push(required(path, rule))
  else if (set.length > 1) {
    errors.push(invalid(path, `{${set.join(', ')}}`, `${rule}, but multiple fields are set`))
  }
  if (spec.sharedCounters !== undefined && spec.devices !== undefined) {
    errors.push(invalid(path, '', 'only one of `sharedCounters` or `devices` is allowed'))
  }
  const at = path.child('devices')
  const names = devices.map((device) => device.name)
  if (devices.length > DEVICES_MAX) errors.push(tooMany(at, devices.length, DEVICES_MAX))
  for (const [i, { name, taints = [] }] of devices.entries()) {
    errors.push(...checkRequiredName(name, at.index(i).child('name'), checkDnsLabel))
    errors.push(...taints.flatMap((taint, j) => validateTaint(taint, at.index(i).child('taints').index(j))))
    if (names.indexOf(name) < i) errors.push(duplicate(at.index(i).child('name'), name))
  }
  return errors
}

export function validateTaint({ key = '', value, effect }: Partial<DeviceTaint>, path: FieldPath): FieldError[] {
  return [
    ...invalidFor(path.child('key'), key, checkQualifiedName(key)),
    ...(value ? invalidFor(path.child('value'), value, checkLabelValue(value)) : []),
    ...checkRequiredOneOf(effect, path.child('effect'), TAINT_EFFECTS),
  ]
}

export function checkDriverName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [required(path)]
  const errors = name.length > DRIVER_BYTES_MAX ? [tooLong(path, DRIVER_BYTES_MAX)] : []
  return [...errors, ...invalidFor(path, name, checkDnsSubdomain(name))]
}

/** Subdomains with slashes between them. */
function checkPoolName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [required(path)]
  return name.split('/').flatMap((part) => invalidFor(path, part, checkDnsSubdomain(part)))
}
