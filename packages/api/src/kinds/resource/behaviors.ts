import type {
  DeviceClass,
  DeviceTaint,
  DeviceTaintRule,
  ResourceClaim,
  ResourceClaimSpec,
  ResourceClaimTemplate,
  ResourceSlice,
} from '../../generated/types/resource/v1.ts'
import type { ResourcePoolStatusRequest } from '../../generated/types/resource/v1alpha3.ts'
import { formatTime } from '../../meta/time.ts'
import { FieldPath } from '../../status/field-error.ts'
import type { BehaviorContext, KindBehavior } from '../behavior.ts'
import { checkImmutable } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { formatPoolStatus } from './pool-status.ts'
import { checkDriverName, validateClaim, validateDeviceSelectors, validateSlice, validateTaint } from './validate.ts'

const spec = new FieldPath('spec')

/** All kinds here are in the shape of v1. Source of this file: pkg/apis/resource/v1/defaults.go, pkg/registry/resource v1.37. */
export const deviceClassBehavior: KindBehavior<DeviceClass> = {
  validate: ({ spec: own }) => validateDeviceSelectors(own?.selectors ?? [], spec.child('selectors')),
  columns: [nameColumn, ageColumn],
  row: ({ metadata }, nowMs) => [metadata.name, formatAge(metadata.creationTimestamp, nowMs)],
}

export const resourceClaimBehavior: KindBehavior<ResourceClaim> = {
  hasGeneration: false,
  setDefaults: (draft) => setRequestDefaults(draft.spec),
  validate: ({ spec: own }) => validateClaim(own?.devices ?? {}, spec.child('devices')),
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, spec),
  columns: [nameColumn, column('State', 'Whether devices are allocated and reserved'), ageColumn],
  row: (claim, nowMs) => [
    claim.metadata.name,
    formatClaimState(claim),
    formatAge(claim.metadata.creationTimestamp, nowMs),
  ],
}

export const resourceClaimTemplateBehavior: KindBehavior<ResourceClaimTemplate> = {
  hasGeneration: false,
  setDefaults: (draft) => setRequestDefaults(draft.spec?.spec),
  validate: ({ spec: own }) => validateClaim(own?.spec?.devices ?? {}, spec.child('spec').child('devices')),
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, spec),
  columns: [nameColumn, ageColumn],
  row: ({ metadata }, nowMs) => [metadata.name, formatAge(metadata.creationTimestamp, nowMs)],
}

export const resourceSliceBehavior: KindBehavior<ResourceSlice> = {
  prepareForCreate: ({ spec: own }, context) => setSliceTaintTimes(own, context),
  prepareForUpdate: ({ spec: own }, _old, context) => setSliceTaintTimes(own, context),
  validate: ({ spec: own }) => validateSlice(own, spec),
  validateUpdate: ({ spec: now }, { spec: old }) => [
    ...checkImmutable(now.pool?.name, old.pool?.name, spec.child('pool').child('name')),
    ...checkImmutable(now.driver, old.driver, spec.child('driver')),
    ...checkImmutable(now.nodeName, old.nodeName, spec.child('nodeName')),
  ],
  selectableFields: ({ spec: own }) => ({
    'spec.nodeName': own.nodeName ?? '',
    'spec.driver': own.driver ?? '',
    'spec.pool.name': own.pool?.name ?? '',
  }),
  selectableFieldNames: ['spec.nodeName', 'spec.driver', 'spec.pool.name'],
  columns: [
    nameColumn,
    column('Node', 'Node that has the devices'),
    column('Driver', 'Driver of the devices'),
    column('Pool', 'Pool of the devices'),
    ageColumn,
  ],
  row: ({ metadata, spec: own }, nowMs) => [
    metadata.name,
    own.nodeName ?? '',
    own.driver,
    own.pool.name,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const deviceTaintRuleBehavior: KindBehavior<DeviceTaintRule> = {
  prepareForCreate: ({ spec: own }, context) => setTaintTime(own.taint, context),
  prepareForUpdate: ({ spec: own }, _old, context) => setTaintTime(own.taint, context),
  validate: ({ spec: own }) => [
    ...(own.deviceSelector?.driver === undefined
      ? []
      : checkDriverName(own.deviceSelector.driver, spec.child('deviceSelector').child('driver'))),
    ...validateTaint(own.taint ?? {}, spec.child('taint')),
  ],
  columns: [
    nameColumn,
    column('Key', 'Key of the taint'),
    column('Value', 'Value of the taint'),
    column('Effect', 'What the taint does'),
    column('TimeAdded', 'Time since the taint was added'),
    ageColumn,
  ],
  row: ({ metadata, spec: { taint } }, nowMs) => [
    metadata.name,
    taint.key,
    taint.value ?? '',
    taint.effect,
    formatAge(taint.timeAdded, nowMs),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const resourcePoolStatusRequestBehavior: KindBehavior<ResourcePoolStatusRequest> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ spec: own }) => checkDriverName(own.driver, spec.child('driver')),
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, spec),
  columns: [
    nameColumn,
    column('Driver', 'Driver of the devices'),
    column('Total', 'Devices'),
    column('Available', 'Devices that are free'),
    column('Allocated', 'Devices in use'),
    column('Unavailable', 'Devices that cannot be used'),
    column('Errors', 'Pools that are not valid'),
    column('Pools', 'Number of pools', { type: 'integer' }),
    column('Status', 'How far the request is'),
    column('Completed', 'Time since the request was answered'),
  ],
  row: formatPoolStatus,
}

function setRequestDefaults(own: ResourceClaimSpec | undefined): void {
  for (const request of own?.devices?.requests ?? []) {
    for (const one of [request.exactly, ...(request.firstAvailable ?? [])]) {
      if (one === undefined) continue
      one.allocationMode ||= 'ExactCount'
      if (one.allocationMode === 'ExactCount') one.count ||= 1
    }
  }
}

function setSliceTaintTimes(own: ResourceSlice['spec'], context: BehaviorContext): void {
  for (const device of own.devices ?? []) for (const taint of device.taints ?? []) setTaintTime(taint, context)
}

/** A default of upstream's that needs the clock, and so is set here. */
function setTaintTime(taint: DeviceTaint | undefined, { nowMs }: BehaviorContext): void {
  if (taint !== undefined) taint.timeAdded ??= formatTime(nowMs)
}

/** Source: resourceClaimState, pkg/printers/internalversion v1.37. */
function formatClaimState({ metadata, status }: Readonly<ResourceClaim>): string {
  const states: string[] = []
  if (metadata.deletionTimestamp) states.push('deleted')
  if (status?.allocation !== undefined) {
    states.push('allocated')
    if ((status.reservedFor ?? []).length > 0) states.push('reserved')
  } else if (!metadata.deletionTimestamp) states.push('pending')
  return states.join(',')
}
