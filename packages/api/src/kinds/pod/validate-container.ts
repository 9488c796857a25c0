import type { Container, ContainerPort, EphemeralContainer, PodSpec } from '../../generated/types/core/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  notFoundValue,
  required,
  tooMany,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import {
  checkOneOf,
  checkPortNumber,
  checkRequired,
  checkRequiredName,
  checkRequiredOneOf,
  describePortName,
  invalidFor,
} from '../shared/check.ts'
import { PORT_PROTOCOLS, PULL_POLICIES } from './policies.ts'
import { isSidecar } from './resources.ts'
import { validateEnv, validateEnvFrom } from './validate-env.ts'
import { validateMounts, type VolumesByName } from './validate-mounts.ts'
import { validateLifecycle, validateProbes, type LifecycleContext } from './validate-probe.ts'
import { validateContainerResources } from './validate-resources.ts'
import { validateSecurityContext } from './validate-security.ts'

const RESTART_RULES_MAX = 20
const EXIT_CODES_MAX = 255
const MESSAGE_POLICIES = ['File', 'FallbackToLogsOnError']
const EPHEMERAL_REFUSES = [
  'ports',
  'resources',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const

/** What containers must know of their pod. */
export interface ContainerContext {
  readonly spec: Readonly<PodSpec>
  readonly volumes: VolumesByName
}

/** The containers that do the pod's work. Source: validateContainers, pkg/apis/core/validation v1.37. */
export function validateContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const containers = context.spec.containers ?? []
  if (containers.length === 0) return [required(path)]
  const names = containers.map((container) => container.name)
  return [
    ...containers.flatMap((container, i) => {
      const at = path.index(i)
      return [
        ...validateCommon(container, at, context),
        ...(names.indexOf(container.name) < i ? [duplicate(at.child('name'), container.name)] : []),
        ...validateLifecycle(container.lifecycle, at.child('lifecycle'), lifecycleContext(context)),
        ...validateProbes(container, at),
        ...validateRestartRules(container, at),
      ]
    }),
    ...validateHostPorts(containers, path),
  ]
}

/** The containers that run before, and the sidecars among them. Source: validateInitContainers. */
export function validateInitContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const taken = new Set((context.spec.containers ?? []).map((container) => container.name))
  return (context.spec.initContainers ?? []).flatMap((container, i) => {
    const at = path.index(i)
    const errors = [...validateCommon(container, at, context), ...validateRestartRules(container, at)]
    if (taken.has(container.name)) errors.push(duplicate(at.child('name'), container.name))
    if (container.name) taken.add(container.name)
    errors.push(...validateHostPorts([container], path))
    if (isSidecar(container)) {
      errors.push(...validateLifecycle(container.lifecycle, at.child('lifecycle'), lifecycleContext(context)))
      return [...errors, ...validateProbes(container, at)]
    }
    for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[field] === undefined) continue
      errors.push(forbiddenField(at.child(field), 'may not be set for init containers without restartPolicy=Always'))
    }
    for (const [j, policy] of (container.resizePolicy ?? []).entries()) {
      if (policy.restartPolicy !== 'RestartContainer') continue
      const detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
      errors.push(invalid(at.child('resizePolicy').index(j).child('restartPolicy'), policy.restartPolicy, detail))
    }
    return errors
  })
}

/** Containers that were added to look at a running pod. Source: validateEphemeralContainers. */
export function validateEphemeralContainers(path: FieldPath, context: ContainerContext): FieldError[] {
  const { containers, initContainers = [], ephemeralContainers = [] } = context.spec
  const others = [...(containers ?? []), ...initContainers].map((container) => container.name)
  const taken = new Set(others)
  return ephemeralContainers.flatMap((container, i) => {
    const at = path.index(i)
    const errors = validateCommon(container, at, context)
    errors.push(...checkImagePadding(container, at))
    if (taken.has(container.name)) errors.push(duplicate(at.child('name'), container.name))
    taken.add(container.name)
    const target = container.targetContainerName
    if (target && !others.includes(target)) errors.push(notFoundValue(at.child('targetContainerName'), target))
    for (const field of EPHEMERAL_REFUSES) {
      const value = container[field]
      if (value === undefined || Object.keys(value).length === 0) continue
      errors.push(forbiddenField(at.child(field), 'cannot be set for an Ephemeral Container'))
    }
    for (const [j, mount] of (container.volumeMounts ?? []).entries()) {
      for (const field of ['subPath', 'subPathExpr'] as const) {
        const mountPath = at.child('volumeMounts').index(j).child(field)
        if (mount[field]) errors.push(forbiddenField(mountPath, 'cannot be set for an Ephemeral Container'))
      }
    }
    return errors
  })
}

/** Only pods are checked for this, templates never were. Source: validateContainerOnlyForPod. */
export function checkImagePadding(container: Container | EphemeralContainer, path: FieldPath): FieldError[] {
  const image = container.image ?? ''
  return image.trim() === image
    ? []
    : [invalid(path.child('image'), image, 'must not have leading or trailing whitespace')]
}

function lifecycleContext({ spec }: ContainerContext): LifecycleContext {
  return { graceSeconds: spec.terminationGracePeriodSeconds, osName: spec.os?.name }
}

function validateCommon(
  container: Container | EphemeralContainer,
  path: FieldPath,
  context: ContainerContext,
): FieldError[] {
  const { spec, volumes } = context
  const claims = (spec.resourceClaims ?? []).map((claim) => claim.name).filter((name) => name !== '')
  return [
    ...checkRequiredName(container.name, path.child('name'), checkDnsLabel),
    ...checkRequired(container.image, path.child('image')),
    ...checkRequiredOneOf(container.terminationMessagePolicy, path.child('terminationMessagePolicy'), MESSAGE_POLICIES),
    ...validatePorts(container.ports ?? [], path.child('ports')),
    ...validateEnv(container.env, path.child('env')),
    ...validateEnvFrom(container.envFrom, path.child('envFrom')),
    ...validateMounts(container, path, volumes),
    ...checkRequiredOneOf(container.imagePullPolicy, path.child('imagePullPolicy'), PULL_POLICIES),
    ...validateContainerResources(container.resources, path.child('resources'), claims),
    ...validateResizePolicy(container, path.child('resizePolicy'), spec.restartPolicy),
    ...validateSecurityContext(container.securityContext, path.child('securityContext'), {
      hostUsers: spec.hostUsers !== false,
    }),
  ]
}

function validatePorts(ports: readonly ContainerPort[], path: FieldPath): FieldError[] {
  const names = new Set<string>()
  return ports.flatMap(({ name, containerPort, hostPort, protocol }, i) => {
    const at = path.index(i)
    const errors: FieldError[] = []
    if (name) {
      const messages = describePortName(name)
      errors.push(...invalidFor(at.child('name'), name, messages))
      if (messages.length === 0 && names.has(name)) errors.push(duplicate(at.child('name'), name))
      names.add(name)
    }
    const number = at.child('containerPort')
    errors.push(...(containerPort ? checkPortNumber(containerPort, number) : [required(number)]))
    if (hostPort) errors.push(...checkPortNumber(hostPort, at.child('hostPort')))
    return [...errors, ...checkRequiredOneOf(protocol, at.child('protocol'), PORT_PROTOCOLS)]
  })
}

/** No two containers can have one port of the host. Source: checkHostPortConflicts. */
function validateHostPorts(containers: readonly Container[], path: FieldPath): FieldError[] {
  const seen = new Set<string>()
  const errors: FieldError[] = []
  for (const [i, container] of containers.entries()) {
    for (const [j, { protocol = '', hostIP = '', hostPort }] of (container.ports ?? []).entries()) {
      if (!hostPort) continue
      const key = `${protocol}/${hostIP}/${hostPort}`
      if (seen.has(key)) errors.push(duplicate(path.index(i).child('ports').index(j).child('hostPort'), key))
      seen.add(key)
    }
  }
  return errors
}

function validateResizePolicy(
  container: Container | EphemeralContainer,
  path: FieldPath,
  podPolicy: string | undefined,
): FieldError[] {
  const policies = container.resizePolicy ?? []
  const names = policies.map((policy) => policy.resourceName)
  return policies.flatMap(({ resourceName, restartPolicy }, i) => {
    const errors = names.indexOf(resourceName) < i ? [duplicate(path.index(i), resourceName)] : []
    errors.push(...checkRequiredOneOf(resourceName, path, ['cpu', 'memory']))
    errors.push(...checkRequiredOneOf(restartPolicy, path, ['NotRequired', 'RestartContainer']))
    if (podPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      errors.push(invalid(path, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
    }
    return errors
  })
}

/** Source: validateContainerRestartPolicy with ContainerRestartRules and RestartAllContainersOnContainerExits. */
function validateRestartRules(container: Container, path: FieldPath): FieldError[] {
  const { restartPolicy, restartPolicyRules: rules = [] } = container
  const at = path.child('restartPolicy')
  const errors = checkOneOf(restartPolicy, at, ['Always', 'Never', 'OnFailure'])
  if (restartPolicy === undefined && rules.length > 0) {
    return [required(at, 'must specify restartPolicy when restart rules are used')]
  }
  if (rules.length > RESTART_RULES_MAX) {
    errors.push(tooMany(path.child('restartPolicyRules'), rules.length, RESTART_RULES_MAX))
  }
  for (const [i, { action, exitCodes }] of rules.entries()) {
    const rulePath = path.child('restartPolicyRules').index(i)
    errors.push(...checkOneOf(action ?? '', rulePath.child('action'), ['Restart', 'RestartAllContainers']))
    const codesPath = rulePath.child('exitCodes')
    if (exitCodes === undefined) {
      errors.push(required(codesPath, 'must be specified'))
      continue
    }
    errors.push(...checkOneOf(exitCodes.operator ?? '', codesPath.child('operator'), ['In', 'NotIn']))
    const count = (exitCodes.values ?? []).length
    if (count > EXIT_CODES_MAX) errors.push(tooMany(codesPath.child('values'), count, EXIT_CODES_MAX))
  }
  return errors
}
