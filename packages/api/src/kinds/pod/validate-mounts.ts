import type { Container, EphemeralContainer, Volume, VolumeDevice, VolumeMount } from '../../generated/types/core/v1.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  notFoundValue,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkOneOf, checkRequired } from '../shared/check.ts'
import { checkDescendingPath } from './paths.ts'

type AnyContainer = Container | EphemeralContainer
/** Volumes of a pod, by name. */
export type VolumesByName = ReadonlyMap<string, Volume>

const BIND_OPTIONS = ['nodev', 'noexec', 'nosuid']

/** Where a container sees the pod's volumes. Source: ValidateVolumeMounts and ValidateVolumeDevices, pkg/apis/core/validation v1.37. */
export function validateMounts(container: AnyContainer, path: FieldPath, volumes: VolumesByName): FieldError[] {
  const mountsPath = path.child('volumeMounts')
  const devicesPath = path.child('volumeDevices')
  const { volumeMounts: mounts = [], volumeDevices: devices = [] } = container
  const errors: FieldError[] = []
  const paths = new Set<string>()
  for (const [i, mount] of mounts.entries()) {
    const at = mountsPath.index(i)
    errors.push(...validateMountTarget(mount, at, { volumes, devices }))
    if (paths.has(mount.mountPath)) errors.push(invalid(at.child('mountPath'), mount.mountPath, 'must be unique'))
    paths.add(mount.mountPath)
    // Upstream reports these three at the list.
    errors.push(...validateMountOptions(mount, mountsPath, container))
    errors.push(...validateBindOptions(mount, at.child('bindMountOptions'), volumes))
  }
  return [...errors, ...validateDevices(devices, devicesPath, { volumes, mounts })]
}

interface MountContext {
  readonly volumes: VolumesByName
  readonly devices: readonly VolumeDevice[]
}

function validateMountTarget(mount: VolumeMount, path: FieldPath, { volumes, devices }: MountContext): FieldError[] {
  const namePath = path.child('name')
  const errors = checkRequired(mount.name, namePath)
  if (!volumes.has(mount.name)) errors.push(notFoundValue(namePath, mount.name ?? ''))
  errors.push(...checkRequired(mount.mountPath, path.child('mountPath')))
  if (devices.some((device) => device.name === mount.name)) {
    errors.push(invalid(namePath, mount.name, 'must not already exist in volumeDevices'))
  }
  if (devices.some((device) => device.devicePath === mount.mountPath)) {
    errors.push(invalid(path.child('mountPath'), mount.mountPath, 'must not already exist as a path in volumeDevices'))
  }
  if (mount.subPath && mount.subPathExpr) {
    errors.push(invalid(path.child('subPathExpr'), mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
  }
  return errors
}

function validateMountOptions(mount: VolumeMount, path: FieldPath, container: AnyContainer): FieldError[] {
  const errors: FieldError[] = []
  if (mount.subPath) errors.push(...checkDescendingPath(mount.subPath, path.child('subPath')))
  if (mount.subPathExpr) errors.push(...checkDescendingPath(mount.subPathExpr, path.child('subPathExpr')))
  const propagation = path.child('mountPropagation')
  errors.push(...checkOneOf(mount.mountPropagation, propagation, ['Bidirectional', 'HostToContainer', 'None']))
  if (mount.mountPropagation === 'Bidirectional' && container.securityContext?.privileged !== true) {
    errors.push(
      forbiddenField(propagation, 'Bidirectional mount propagation is available only to privileged containers'),
    )
  }
  const recursive = path.child('recursiveReadOnly')
  errors.push(...checkOneOf(mount.recursiveReadOnly, recursive, ['Disabled', 'Enabled', 'IfPossible']))
  if (mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible') {
    if (mount.readOnly !== true) errors.push(forbiddenField(recursive, 'may only be specified when readOnly is true'))
    if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
      errors.push(forbiddenField(recursive, 'may only be specified when mountPropagation is None or not specified'))
    }
  }
  return errors
}

function validateBindOptions(
  { name, bindMountOptions = [] }: VolumeMount,
  path: FieldPath,
  volumes: VolumesByName,
): FieldError[] {
  const errors: FieldError[] = []
  for (const [i, option] of bindMountOptions.entries()) {
    errors.push(...checkOneOf(option, path.index(i), BIND_OPTIONS))
    if (bindMountOptions.indexOf(option) < i) errors.push(duplicate(path.index(i), option))
  }
  if (bindMountOptions.length > 0 && volumes.get(name)?.image !== undefined) {
    errors.push(invalid(path, bindMountOptions, 'bindMountOptions may not be used with image volumes'))
  }
  return errors
}

interface DeviceContext {
  readonly volumes: VolumesByName
  readonly mounts: readonly VolumeMount[]
}

function validateDevices(
  devices: readonly VolumeDevice[],
  path: FieldPath,
  { volumes, mounts }: DeviceContext,
): FieldError[] {
  return devices.flatMap((device, i) => {
    const namePath = path.index(i).child('name')
    const devicePath = path.index(i).child('devicePath')
    const earlier = devices.slice(0, i)
    const volume = volumes.get(device.name)
    const errors = checkRequired(device.name, namePath)
    if (earlier.some((other) => other.name === device.name))
      errors.push(invalid(namePath, device.name, 'must be unique'))
    if (volume === undefined) errors.push(notFoundValue(namePath, device.name ?? ''))
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) {
      const detail = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'
      errors.push(invalid(namePath, device.name, detail))
    }
    errors.push(...checkRequired(device.devicePath, devicePath))
    if (earlier.some((other) => other.devicePath === device.devicePath)) {
      errors.push(invalid(devicePath, device.devicePath, 'must be unique'))
    }
    if (device.devicePath?.split('/').includes('..')) {
      errors.push(invalid(devicePath, device.devicePath, "can not contain backsteps ('..')"))
    }
    if (mounts.some((mount) => mount.name === device.name)) {
      errors.push(invalid(namePath, device.name, 'must not already exist in volumeMounts'))
    }
    if (mounts.some((mount) => mount.mountPath === device.devicePath)) {
      errors.push(invalid(devicePath, device.devicePath, 'must not already exist as a path in volumeMounts'))
    }
    return errors
  })
}
