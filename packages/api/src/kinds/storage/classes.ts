import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from '../../generated/types/storage/v1.ts'
import { checkDnsSubdomain, checkQualifiedName } from '../../meta/names.ts'
import {
  duplicate,
  FieldPath,
  forbiddenField,
  invalid,
  required,
  tooLong,
  type FieldError,
} from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import {
  checkImmutable,
  checkOneOf,
  checkRequired,
  checkRequiredName,
  invalidFor,
  tryQuantity,
} from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { checkCSIDriverName } from './driver-name.ts'

const PARAMETERS_MAX = 512
const PARAMETERS_BYTES_MAX = 256 * 1024
const NODE_ID_BYTES_MAX = 256
const DEFAULT_CLASS = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
]

/** Source of this file: pkg/apis/storage/{v1/defaults.go,validation/validation.go} v1.37. */
export const storageClassBehavior: KindBehavior<StorageClass> = {
  hasGeneration: false,
  setDefaults: (draft) => {
    draft.reclaimPolicy ??= 'Delete'
    draft.volumeBindingMode ??= 'Immediate'
  },
  validate: validateStorageClass,
  validateUpdate: (now, old) =>
    (['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const).flatMap((field) =>
      checkImmutable(now[field], old[field], new FieldPath(field)),
    ),
  columns: [
    nameColumn,
    column('Provisioner', 'Who makes the volumes'),
    column('ReclaimPolicy', 'What happens when a claim is gone'),
    column('VolumeBindingMode', 'When volumes are made and bound'),
    column('AllowVolumeExpansion', 'Whether volumes can grow'),
    ageColumn,
  ],
  row: ({ metadata, provisioner, reclaimPolicy, volumeBindingMode, allowVolumeExpansion }, nowMs) => [
    // Upstream marks the newest of several defaults in a list, and none when one is asked for; a row knows only itself.
    `${metadata.name ?? ''}${DEFAULT_CLASS.some((key) => metadata.annotations?.[key] === 'true') ? ' (default)' : ''}`,
    provisioner,
    reclaimPolicy ?? 'Delete',
    volumeBindingMode ?? 'Immediate',
    allowVolumeExpansion ?? false,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const volumeAttributesClassBehavior: KindBehavior<VolumeAttributesClass> = {
  hasGeneration: false,
  validate: ({ driverName, parameters }) => {
    const path = new FieldPath('parameters')
    const errors = [
      ...checkCSIDriverName(driverName, new FieldPath('driverName')),
      ...validateParameters(parameters ?? {}, path),
    ]
    if (Object.keys(parameters ?? {}).length === 0)
      errors.push(required(path, 'must contain at least one key/value pair'))
    return errors
  },
  validateUpdate: (now, old) => [
    ...checkImmutable(now.driverName, old.driverName, new FieldPath('driverName')),
    ...checkImmutable(now.parameters, old.parameters, new FieldPath('parameters')),
  ],
  columns: [nameColumn, column('DriverName', 'Driver whose volumes have the attributes'), ageColumn],
  row: ({ metadata, driverName }, nowMs) => [metadata.name, driverName, formatAge(metadata.creationTimestamp, nowMs)],
}

export const csiDriverBehavior: KindBehavior<CSIDriver> = {
  allowUnconditionalUpdate: false,
  setDefaults: ({ spec }) => {
    if (spec === undefined) return
    spec.attachRequired ??= true
    spec.podInfoOnMount ??= false
    spec.storageCapacity ??= false
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType'
    if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent']
    spec.requiresRepublish ??= false
    spec.seLinuxMount ??= false
    spec.preventPodSchedulingIfMissing ??= false
  },
  validate: validateCSIDriver,
  columns: [
    nameColumn,
    column('AttachRequired', 'Whether volumes are attached first', { type: 'boolean' }),
    column('PodInfoOnMount', 'Whether the driver is told about the pod', { type: 'boolean' }),
    column('StorageCapacity', 'Whether the driver tells what is free', { type: 'boolean' }),
    column('TokenRequests', 'Audiences of the tokens that the driver gets'),
    column('RequiresRepublish', 'Whether volumes are published again and again', { type: 'boolean' }),
    column('Modes', 'Kinds of volumes that the driver serves'),
    ageColumn,
  ],
  row: ({ metadata, spec }, nowMs) => [
    metadata.name,
    spec.attachRequired ?? true,
    spec.podInfoOnMount ?? false,
    spec.storageCapacity ?? false,
    spec.tokenRequests === undefined ? '<unset>' : spec.tokenRequests.map((request) => request.audience).join(','),
    spec.requiresRepublish ?? false,
    (spec.volumeLifecycleModes ?? []).join(',') || '<none>',
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const csiNodeBehavior: KindBehavior<CSINode> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: validateCSINode,
  columns: [nameColumn, column('Drivers', 'Number of drivers on the node', { type: 'integer' }), ageColumn],
  row: ({ metadata, spec }, nowMs) => [
    metadata.name,
    (spec.drivers ?? []).length,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const csiStorageCapacityBehavior: KindBehavior<CSIStorageCapacity> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ storageClassName, nodeTopology }) => [
    ...checkRequiredName(storageClassName, new FieldPath('storageClassName'), checkDnsSubdomain),
    ...validateLabelSelector(nodeTopology, new FieldPath('nodeTopology')),
  ],
  validateUpdate: (now, old) => [
    ...checkImmutable(now.nodeTopology, old.nodeTopology, new FieldPath('nodeTopology')),
    ...checkImmutable(now.storageClassName, old.storageClassName, new FieldPath('storageClassName')),
  ],
  columns: [nameColumn, column('StorageClassName', 'Class of the storage'), column('Capacity', 'What is free')],
  row: ({ metadata, storageClassName, capacity }) => [
    metadata.name,
    storageClassName,
    tryQuantity(capacity)?.text ?? '<unset>',
  ],
}

export const volumeAttachmentBehavior: KindBehavior<VolumeAttachment> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: validateVolumeAttachment,
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, new FieldPath('spec')),
  columns: [
    nameColumn,
    column('Attacher', 'Driver that attaches', { format: 'name' }),
    column('PV', 'Volume that is attached'),
    column('Node', 'Node that it is attached to'),
    column('Attached', 'Whether it is', { type: 'boolean' }),
    ageColumn,
  ],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec.attacher,
    spec.source.persistentVolumeName ?? '',
    spec.nodeName,
    status?.attached ?? false,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

function validateStorageClass({
  provisioner,
  parameters,
  reclaimPolicy,
  volumeBindingMode,
}: Readonly<StorageClass>): FieldError[] {
  const path = new FieldPath('provisioner')
  return [
    ...(provisioner ? invalidFor(path, provisioner, checkQualifiedName(provisioner.toLowerCase())) : [required(path)]),
    ...validateParameters(parameters ?? {}, new FieldPath('parameters')),
    ...checkOneOf(reclaimPolicy || undefined, new FieldPath('reclaimPolicy'), ['Delete', 'Retain']),
    ...checkOneOf(volumeBindingMode, new FieldPath('volumeBindingMode'), ['Immediate', 'WaitForFirstConsumer']),
  ]
}

function validateParameters(parameters: Readonly<Record<string, string>>, path: FieldPath): FieldError[] {
  const entries = Object.entries(parameters)
  if (entries.length > PARAMETERS_MAX) return [tooLong(path, PARAMETERS_MAX)]
  const errors = entries.flatMap(([key]) => (key === '' ? [invalid(path, key, 'field can not be empty.')] : []))
  const size = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  return size > PARAMETERS_BYTES_MAX ? [...errors, tooLong(path, PARAMETERS_BYTES_MAX)] : errors
}

function validateCSIDriver({ metadata, spec }: Readonly<CSIDriver>): FieldError[] {
  const path = new FieldPath('spec')
  const audiences = (spec.tokenRequests ?? []).map((request) => request.audience)
  const policies = ['File', 'None', 'ReadWriteOnceWithFSType']
  const errors = [
    ...checkCSIDriverName(metadata.name, new FieldPath('metadata.name')),
    ...checkOneOf(spec.fsGroupPolicy, path.child('fsGroupPolicy'), policies),
    ...(spec.volumeLifecycleModes ?? []).flatMap((mode) =>
      checkOneOf(mode, path.child('volumeLifecycleModes'), ['Ephemeral', 'Persistent']),
    ),
  ]
  for (const [i, audience] of audiences.entries()) {
    const at = path.child('tokenRequests').index(i)
    if (audiences.indexOf(audience) < i) errors.push(duplicate(at.child('audience'), audience))
    const seconds = spec.tokenRequests![i]!.expirationSeconds
    if (seconds !== undefined && seconds < 600) {
      errors.push(invalid(at.child('expirationSeconds'), seconds, 'may not specify a duration less than 10 minutes'))
    }
  }
  return errors
}

function validateCSINode({ spec }: Readonly<CSINode>): FieldError[] {
  const path = new FieldPath('spec.drivers')
  const names = (spec.drivers ?? []).map((driver) => driver.name)
  return (spec.drivers ?? []).flatMap((driver, i) => {
    const at = path.index(i)
    const errors = [
      ...checkCSIDriverName(driver.name, at.child('name')),
      ...checkRequired(driver.nodeID, at.child('nodeID')),
    ]
    if (names.indexOf(driver.name) < i) errors.push(duplicate(at.child('name'), driver.name))
    if ((driver.nodeID ?? '').length > NODE_ID_BYTES_MAX) errors.push(tooLong(at.child('nodeID'), NODE_ID_BYTES_MAX))
    for (const key of driver.topologyKeys ?? [])
      errors.push(...invalidFor(at.child('topologyKeys'), key, checkQualifiedName(key)))
    return errors
  })
}

function validateVolumeAttachment({ spec }: Readonly<VolumeAttachment>): FieldError[] {
  const path = new FieldPath('spec')
  const { inlineVolumeSpec, persistentVolumeName } = spec.source ?? {}
  const at = path.child('source')
  const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'
  const errors = checkCSIDriverName(spec.attacher, path.child('attacher'))
  if (inlineVolumeSpec === undefined && persistentVolumeName === undefined) errors.push(required(at, detail))
  else if (inlineVolumeSpec !== undefined && persistentVolumeName !== undefined) errors.push(forbiddenField(at, detail))
  else if (persistentVolumeName === '') {
    errors.push(required(at.child('persistentVolumeName'), 'must specify non empty persistentVolumeName'))
  }
  return [...errors, ...invalidFor(path.child('nodeName'), spec.nodeName, checkDnsSubdomain(spec.nodeName ?? ''))]
}
