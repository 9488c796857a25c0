import type { Container, ContainerStatus, Pod, PodSpec } from '../../generated/types/core/v1.ts'
import { checkDnsSubdomain, checkQualifiedName } from '../../meta/names.ts'
import { duplicate, FieldPath, forbiddenField, invalid, type FieldError } from '../../status/field-error.ts'
import { IMMUTABLE, invalidFor } from '../shared/check.ts'
import { checkIpStrict, parseIp } from '../shared/ip.ts'

const SYSTEM_CONDITIONS = ['PodScheduled', 'Ready', 'Initialized']

/** What a node may say about its pod. Source: ValidatePodStatusUpdate, pkg/apis/core/validation v1.37. */
export function validatePodStatusUpdate(pod: Readonly<Pod>, old: Readonly<Pod>): FieldError[] {
  const path = new FieldPath('status')
  const status = pod.status ?? {}
  const before = old.status ?? {}
  const errors: FieldError[] = []
  for (const [i, condition] of (status.conditions ?? []).entries()) {
    if (SYSTEM_CONDITIONS.includes(condition.type)) continue
    const at = path.child('conditions').index(i).child('Type')
    errors.push(...invalidFor(at, condition.type, checkQualifiedName(condition.type ?? '')))
  }
  errors.push(...validateNomination(pod, old, path.child('nominatedNodeName')))
  if ((status.observedGeneration ?? 0) < 0) {
    errors.push(invalid(path.child('observedGeneration'), status.observedGeneration, 'must be a non-negative integer'))
  }
  if ((status.qosClass ?? '') !== (before.qosClass ?? ''))
    errors.push(invalid(path.child('qosClass'), status.qosClass ?? '', IMMUTABLE))
  for (const list of ['containerStatuses', 'initContainerStatuses'] as const) {
    errors.push(
      ...validateTransitions(status[list] ?? [], before[list] ?? [], { path: path.child(list), spec: old.spec }),
    )
  }
  errors.push(...validateClaimStatuses(pod, path.child('resourceClaimStatuses')))
  errors.push(
    ...validateAddresses(status.podIPs ?? [], before.podIPs ?? [], {
      path: path.child('podIPs'),
      single: status.podIP ?? '',
      name: 'podIP',
    }),
  )
  if ((status.hostIPs ?? []).length > 0) {
    errors.push(
      ...validateAddresses(status.hostIPs!, before.hostIPs ?? [], {
        path: path.child('hostIPs'),
        single: status.hostIP ?? '',
        name: 'hostIP',
      }),
    )
  }
  return errors
}

function validateNomination(pod: Readonly<Pod>, old: Readonly<Pod>, path: FieldPath): FieldError[] {
  const name = pod.status?.nominatedNodeName
  if (!name || name === old.status?.nominatedNodeName) return []
  const errors = invalidFor(path, name, checkDnsSubdomain(name))
  if (old.spec?.nodeName) errors.push(forbiddenField(path, 'may not be set on pods that are already bound to a node'))
  return errors
}

interface TransitionContext {
  readonly path: FieldPath
  readonly spec: Readonly<PodSpec> | undefined
}

/** A container that ended may run again only if its policy says so. Source: ValidateContainerStateTransition. */
function validateTransitions(
  now: readonly ContainerStatus[],
  before: readonly ContainerStatus[],
  { path, spec }: TransitionContext,
): FieldError[] {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  if (containers.some(restartsAll)) return []
  return before.flatMap((old, i) => {
    const ended = old.state?.terminated
    const status = now.find((candidate) => candidate.name === old.name)
    if (ended === undefined || status === undefined || status.state?.terminated !== undefined) return []
    const container = containers.find((candidate) => candidate.name === old.name)
    if (container !== undefined && mayRestart(container, spec?.restartPolicy, ended.exitCode)) return []
    return [forbiddenField(path.index(i).child('state'), 'may not be transitioned to non-terminated state')]
  })
}

function restartsAll(container: Container): boolean {
  return (container.restartPolicyRules ?? []).some((rule) => rule.action === 'RestartAllContainers')
}

/** Source: ContainerShouldRestart, pkg/api/v1/pod v1.37. */
function mayRestart(container: Container, podPolicy: string | undefined, exitCode: number): boolean {
  for (const { exitCodes } of container.restartPolicyRules ?? []) {
    const isListed = exitCodes?.values?.includes(exitCode) === true
    if (exitCodes !== undefined && isListed === (exitCodes.operator === 'In')) return true
  }
  const policy = container.restartPolicy ?? podPolicy
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
}

function validateClaimStatuses({ spec, status }: Readonly<Pod>, path: FieldPath): FieldError[] {
  const seen = new Set<string>()
  return (status?.resourceClaimStatuses ?? []).flatMap(({ name, resourceClaimName }, i) => {
    const at = path.index(i)
    const errors: FieldError[] = []
    if (spec?.resourceClaims?.some((claim) => claim.name === name) !== true) {
      errors.push(invalid(at.child('name'), name, 'must match the name of an entry in `spec.resourceClaims`'))
    }
    if (seen.has(name)) errors.push(duplicate(at.child('name'), name))
    seen.add(name)
    if (resourceClaimName === undefined) return errors
    return [
      ...errors,
      ...invalidFor(at.child('resourceClaimName'), resourceClaimName, checkDnsSubdomain(resourceClaimName)),
    ]
  })
}

interface AddressContext {
  readonly path: FieldPath
  /** The older field that must equal the first address. */
  readonly single: string
  readonly name: 'podIP' | 'hostIP'
}

/** Source: validatePodIPs and validateHostIPs. */
function validateAddresses(
  now: readonly { ip: string }[],
  before: readonly { ip: string }[],
  { path, single, name }: AddressContext,
): FieldError[] {
  const errors = now.flatMap(({ ip }, i) =>
    before.some((old) => old.ip === ip) ? [] : checkIpStrict(ip, path.index(i)),
  )
  const families = now.map(({ ip }) => parseIp(ip)?.family)
  if (now.length > 2 || (now.length === 2 && families[0] === families[1])) {
    errors.push(invalid(path, now, 'may specify no more than one IP for each IP family'))
  }
  if (name === 'podIP' && (single !== '') !== now.length > 0) {
    errors.push(invalid(path, now, 'podIP and podIPs must either both be set or both be unset'))
  } else if (now.length > 0 && now[0]!.ip !== single) {
    errors.push(invalid(path.index(0).child('ip'), now[0]!.ip, `must be equal to \`${name}\``))
  }
  return errors
}
