import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
} from '../../generated/types/core/v1.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  notSupported,
  required,
  tooLong,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkId, checkOneOf } from '../shared/check.ts'
import { checkDescendingPath } from './paths.ts'

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined']
const APP_ARMOR_PROFILE_BYTES_MAX = 4_095
const SYSCTL_BYTES_MAX = 253
const SYSCTL_SEGMENT = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SYSCTL_PATTERN = `^(${SYSCTL_SEGMENT}[\\./])*${SYSCTL_SEGMENT}$`

/** Source: validatePodSpecSecurityContext, pkg/apis/core/validation v1.37. */
export function validatePodSecurityContext(context: PodSecurityContext | undefined, path: FieldPath): FieldError[] {
  if (context === undefined) return []
  return [
    ...checkId(context.fsGroup, path.child('fsGroup')),
    ...checkId(context.runAsUser, path.child('runAsUser')),
    ...checkId(context.runAsGroup, path.child('runAsGroup')),
    ...(context.supplementalGroups ?? []).flatMap((id, i) => checkId(id, path.child('supplementalGroups').index(i))),
    ...validateSysctls(context, path.child('sysctls')),
    ...checkOneOf(context.fsGroupChangePolicy, path.child('fsGroupChangePolicy'), ['Always', 'OnRootMismatch']),
    ...validateSeccomp(context.seccompProfile, path.child('seccompProfile')),
    ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile')),
    ...checkOneOf(context.supplementalGroupsPolicy, path.child('supplementalGroupsPolicy'), ['Merge', 'Strict']),
    ...checkOneOf(context.seLinuxChangePolicy, path.child('seLinuxChangePolicy'), ['MountOption', 'Recursive']),
  ]
}

/** Source: ValidateSecurityContext. `hostUsers` false: the pod has a user namespace of its own. */
export function validateSecurityContext(
  context: SecurityContext | undefined,
  path: FieldPath,
  pod: { readonly hostUsers: boolean },
): FieldError[] {
  if (context === undefined) return []
  const errors = [
    ...checkId(context.runAsUser, path.child('runAsUser')),
    ...checkId(context.runAsGroup, path.child('runAsGroup')),
    ...checkOneOf(context.procMount, path.child('procMount'), ['Default', 'Unmasked']),
  ]
  if (pod.hostUsers && context.procMount === 'Unmasked') {
    errors.push(invalid(path.child('procMount'), context.procMount, '`hostUsers` must be false to use `Unmasked`'))
  }
  errors.push(...validateSeccomp(context.seccompProfile, path.child('seccompProfile')))
  if (context.allowPrivilegeEscalation === false) {
    const detail = 'cannot set `allowPrivilegeEscalation` to false and '
    if (context.privileged === true) errors.push(invalid(path, context, `${detail}\`privileged\` to true`))
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN') === true) {
      errors.push(invalid(path, context, `${detail}\`capabilities.Add\` CAP_SYS_ADMIN`))
    }
  }
  return [...errors, ...validateAppArmor(context.appArmorProfile, path.child('appArmorProfile'))]
}

/** Fields that exclude each other. Source: validateHostUsers, validateShareProcessNamespace, validatePodHostNetworkDeps. */
export function validateHostFields(
  spec: Readonly<PodSpec>,
  path: FieldPath,
  options: { readonly isPod: boolean },
): FieldError[] {
  const errors: FieldError[] = []
  if (spec.hostNetwork === true) {
    for (const [i, container] of (spec.containers ?? []).entries()) {
      for (const [j, { hostPort = 0, containerPort }] of (container.ports ?? []).entries()) {
        if (hostPort === containerPort || (!options.isPod && hostPort === 0)) continue
        const at = path.child('containers').index(i).child('ports').index(j).child('hostPort')
        errors.push(invalid(at, hostPort, 'must match `containerPort` when `hostNetwork` is true'))
      }
    }
  }
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled'
    errors.push(invalid(path.child('shareProcessNamespace'), true, detail))
  }
  if (spec.hostUsers === false) errors.push(...validateUserNamespace(spec, path))
  return errors
}

/** Windows options in a Linux pod and the other way round. Source: validateOS, validateLinux, validateWindows. */
export function validateOS(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  if (spec.os === undefined) return []
  if (!spec.os.name) return [required(path.child('os', 'name'))]
  if (spec.os.name === 'linux') return validateLinux(spec, path)
  return spec.os.name === 'windows'
    ? validateWindows(spec, path)
    : [notSupported(path.child('os'), spec.os.name, ['linux', 'windows'])]
}

function validateUserNamespace(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const detail = 'when `hostUsers` is false'
  const errors: FieldError[] = []
  if (spec.hostNetwork === true) errors.push(forbiddenField(path.child('hostNetwork'), detail))
  // The capital letters are upstream's.
  if (spec.hostPID === true) errors.push(forbiddenField(path.child('HostPID'), detail))
  if (spec.hostIPC === true) errors.push(forbiddenField(path.child('HostIPC'), detail))
  return errors
}

function validateSeccomp(profile: SeccompProfile | undefined, path: FieldPath): FieldError[] {
  if (profile === undefined) return []
  const typePath = path.child('type')
  const errors = profile.type
    ? checkOneOf(profile.type, typePath, PROFILE_TYPES)
    : [required(typePath, 'type is required when seccompProfile is set')]
  const local = path.child('localhostProfile')
  if (profile.type === 'Localhost') {
    if (profile.localhostProfile === undefined)
      errors.push(required(local, 'must be set when seccomp type is Localhost'))
    else errors.push(...checkDescendingPath(profile.localhostProfile, local))
  } else if (profile.localhostProfile !== undefined) {
    errors.push(invalid(local, profile, 'can only be set when seccomp type is Localhost'))
  }
  return errors
}

function validateAppArmor(profile: AppArmorProfile | undefined, path: FieldPath): FieldError[] {
  if (profile === undefined) return []
  if (!profile.type) return [required(path.child('type'), 'type is required when appArmorProfile is set')]
  const local = path.child('localhostProfile')
  const name = profile.localhostProfile
  if (profile.type !== 'Localhost') {
    const errors = checkOneOf(profile.type, path.child('type'), PROFILE_TYPES)
    if (errors.length > 0 || name === undefined) return errors
    return [invalid(local, name, 'can only be set when AppArmor type is Localhost')]
  }
  if (name === undefined || name === '') return [required(local, 'must be set when AppArmor type is Localhost')]
  const errors = name.trim() === name ? [] : [invalid(local, name, 'must not be padded with whitespace')]
  if (name.length > APP_ARMOR_PROFILE_BYTES_MAX) errors.push(tooLong(local, APP_ARMOR_PROFILE_BYTES_MAX))
  return errors
}

function validateSysctls({ sysctls = [] }: PodSecurityContext, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [i, { name }] of sysctls.entries()) {
    const at = path.index(i).child('name')
    if (!name) errors.push(required(at))
    else if (name.length > SYSCTL_BYTES_MAX || !new RegExp(SYSCTL_PATTERN).test(name)) {
      errors.push(
        invalid(at, name, `must have at most ${SYSCTL_BYTES_MAX} characters and match regex ${SYSCTL_PATTERN}`),
      )
    } else if (seen.has(name)) errors.push(duplicate(at, name))
    seen.add(name)
  }
  return errors
}

const WINDOWS_POD_REFUSES = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'fsGroup',
  'fsGroupChangePolicy',
  'sysctls',
  'runAsUser',
  'runAsGroup',
  'supplementalGroups',
  'supplementalGroupsPolicy',
  'seLinuxChangePolicy',
] as const
const WINDOWS_CONTAINER_REFUSES = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const

function validateWindows(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const detail = 'cannot be set for a windows pod'
  const errors: FieldError[] = []
  const podPath = path.child('securityContext')
  for (const field of WINDOWS_POD_REFUSES) {
    if (spec.securityContext?.[field] !== undefined) errors.push(forbiddenField(podPath.child(field), detail))
  }
  for (const field of ['hostUsers', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const) {
    if (spec[field]) errors.push(forbiddenField(path.child(field), detail))
  }
  for (const { context, at } of containerContexts(spec, path)) {
    for (const field of WINDOWS_CONTAINER_REFUSES) {
      if (context[field] !== undefined) errors.push(forbiddenField(at.child(field), detail))
    }
  }
  return errors
}

function validateLinux(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const detail = 'windows options cannot be set for a linux pod'
  const errors: FieldError[] = []
  if (spec.securityContext?.windowsOptions !== undefined) {
    errors.push(forbiddenField(path.child('securityContext', 'windowsOptions'), detail))
  }
  for (const { context, at } of containerContexts(spec, path)) {
    if (context.windowsOptions !== undefined) errors.push(forbiddenField(at.child('windowsOptions'), detail))
  }
  return errors
}

function containerContexts(spec: Readonly<PodSpec>, path: FieldPath): { context: SecurityContext; at: FieldPath }[] {
  const found: { context: SecurityContext; at: FieldPath }[] = []
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      const at = path.child(list).index(i).child('securityContext')
      if (container.securityContext !== undefined) found.push({ context: container.securityContext, at })
    }
  }
  return found
}
