import type { Container, NodeSelectorTerm, Pod, PodSpec, PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import { FieldPath } from '../../status/field-error.ts'
import { tryQuantity } from '../shared/check.ts'
import { hostQualityWarnings } from './quality-warnings.ts'

const NANOS = 1_000_000_000n
const BYTE_RESOURCES = ['memory', 'ephemeral-storage']
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const NO_SELECTOR = 'a null labelSelector results in matching no pod'
const ANNOTATIONS: Readonly<Record<string, string>> = {
  'scheduler.alpha.kubernetes.io/critical-pod': 'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
}
const NODE_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
  'app.kubernetes.io/created-by': 'deprecated since v1.9',
  'scheduler.alpha.kubernetes.io/preferAvoidPods': 'deprecated since v1.22; use Taints and Tolerations instead',
  'node-role.kubernetes.io/master': 'use "node-role.kubernetes.io/control-plane" instead',
}
const VOLUMES = {
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} as const

/** Warnings of a create; an update of a pod has none. Source: podStrategy.WarningsOnCreate, pkg/registry/core/pod v1.37. */
export function podWarnings(pod: Readonly<Pod>, old?: Readonly<Pod>): string[] {
  if (old !== undefined) return []
  return [...hostNameWarnings(pod.metadata.name, "the Pod's hostname"), ...templateWarnings(pod, new FieldPath())]
}

/** For kinds whose name becomes part of pods' names. */
export function hostNameWarnings(name: string | undefined, use = 'Pod names and hostnames'): string[] {
  const messages = checkDnsLabel(name ?? '')
  const detail = 'which can result in surprising behavior; a DNS label is recommended'
  return messages.length === 0 ? [] : [`metadata.name: this is used in ${use}, ${detail}: [${messages.join(' ')}]`]
}

/** What is odd about a pod or a template that stands at `path`. Source: warningsForPodSpecAndMeta, pkg/api/pod/warnings.go v1.37. */
export function templateWarnings(template: Readonly<Pod | PodTemplateSpec>, path: FieldPath): string[] {
  const { metadata, spec } = template
  if (spec === undefined) return []
  const annotations = metadata?.annotations ?? {}
  const annotationsPath = path.child('metadata').child('annotations')
  const at = path.child('spec')
  const warnings = [...nodeLabelWarnings(spec, at), ...hostQualityWarnings(template, path)]
  for (const [key, message] of Object.entries(ANNOTATIONS)) {
    if (annotations[key] !== undefined) warnings.push(`${String(annotationsPath.key(key))}: ${message}`)
  }
  for (const [i, volume] of (spec.volumes ?? []).entries()) {
    for (const [type, message] of Object.entries(VOLUMES) as [keyof typeof VOLUMES, string][]) {
      if (volume[type] !== undefined) warnings.push(`${String(at.child('volumes').index(i).child(type))}: ${message}`)
    }
  }
  warnings.push(...repeatWarnings(spec, at))
  if (annotations[SECCOMP_POD] !== undefined && spec.securityContext?.seccompProfile === undefined) {
    const key = annotationsPath.key(SECCOMP_POD)
    warnings.push(`${String(key)}: non-functional in v1.27+; use the "seccompProfile" field instead`)
  }
  for (const [container, where] of containersOf(spec, at)) warnings.push(...containerWarnings(container, where))
  return [...warnings, ...portWarnings(spec, at), ...affinityWarnings(spec, at)]
}

function nodeLabelWarnings(spec: Readonly<PodSpec>, at: FieldPath): string[] {
  const warnings: string[] = []
  const check = (label: string, where: FieldPath): void => {
    const message = NODE_LABELS[label]
    if (message !== undefined) warnings.push(`${String(where)}: ${label} is ${message}`)
  }
  const checkTerm = (term: NodeSelectorTerm, where: FieldPath): void => {
    for (const [i, { key }] of (term.matchExpressions ?? []).entries()) {
      check(key, where.child('matchExpressions').index(i).child('key'))
    }
  }
  for (const label of Object.keys(spec.nodeSelector ?? {})) {
    const message = NODE_LABELS[label]
    if (message !== undefined) warnings.push(`${String(at.child('nodeSelector').key(label))}: ${message}`)
  }
  const { requiredDuringSchedulingIgnoredDuringExecution: required } = spec.affinity?.nodeAffinity ?? {}
  const { preferredDuringSchedulingIgnoredDuringExecution: preferred } = spec.affinity?.nodeAffinity ?? {}
  const affinityPath = at.child('affinity').child('nodeAffinity')
  for (const [i, term] of (required?.nodeSelectorTerms ?? []).entries()) {
    const list = affinityPath.child('requiredDuringSchedulingIgnoredDuringExecution').child('nodeSelectorTerms')
    checkTerm(term, list.index(i))
  }
  for (const [i, { preference }] of (preferred ?? []).entries()) {
    const list = affinityPath.child('preferredDuringSchedulingIgnoredDuringExecution')
    checkTerm(preference, list.index(i).child('preference'))
  }
  for (const [i, constraint] of (spec.topologySpreadConstraints ?? []).entries()) {
    const where = at.child('topologySpreadConstraints').index(i)
    check(constraint.topologyKey, where.child('topologyKey'))
    if (constraint.labelSelector === undefined) warnings.push(`${String(where.child('labelSelector'))}: ${NO_SELECTOR}`)
  }
  return warnings
}

function repeatWarnings(spec: Readonly<PodSpec>, at: FieldPath): string[] {
  const ips = (spec.hostAliases ?? []).map((alias) => alias.ip)
  const secrets = (spec.imagePullSecrets ?? []).map((secret) => secret.name ?? '')
  const where = (i: number): FieldPath => at.child('imagePullSecrets').index(i).child('name')
  return [
    ...ips.flatMap((ip, i) =>
      ips.indexOf(ip) < i ? [`${String(at.child('hostAliases').index(i).child('ip'))}: duplicate ip "${ip}"`] : [],
    ),
    ...secrets.flatMap((name, i) =>
      secrets.indexOf(name) < i ? [`${String(where(i))}: duplicate name "${name}"`] : [],
    ),
    ...secrets.flatMap((name, i) => (name === '' ? [`${String(where(i))}: invalid empty name ""`] : [])),
  ]
}

function containersOf(spec: Readonly<PodSpec>, at: FieldPath): [Container, FieldPath][] {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((container, i): [Container, FieldPath] => [container, at.child(list).index(i)]),
  )
}

function containerWarnings({ env = [], resources }: Readonly<Container>, at: FieldPath): string[] {
  const warnings: string[] = []
  for (const list of ['limits', 'requests'] as const) {
    for (const resource of BYTE_RESOURCES) {
      const quantity = tryQuantity(resources?.[list]?.[resource])
      if (quantity === undefined || quantity.nanos % NANOS === 0n) continue
      const where = at.child('resources').child(list).key(resource)
      warnings.push(`${String(where)}: fractional byte value "${quantity.text}" is invalid, must be an integer`)
    }
  }
  const seen = new Set<string>()
  for (const [i, { name, value = '', valueFrom }] of env.entries()) {
    const reference = `$(${name})`
    const hides = valueFrom !== undefined || value === reference || !value.includes(reference)
    if (seen.has(name) && hides) {
      const detail = `hides previous definition of "${name}", which may be dropped when using apply`
      warnings.push(`${String(at.child('env').index(i))}: ${detail}`)
    }
    seen.add(name)
  }
  return warnings
}

function portWarnings(spec: Readonly<PodSpec>, at: FieldPath): string[] {
  const warnings: string[] = []
  const ports = containersOf(spec, at).flatMap(([container, where]) =>
    (container.ports ?? []).map((port, i) => ({ port, where: String(where.child('ports').index(i)) })),
  )
  const byNumber = new Map<string, typeof ports>()
  const byName = new Map<string, string>()
  for (const entry of ports) {
    const { port, where } = entry
    const key = `${port.containerPort}/${port.protocol ?? ''}`
    const others = byNumber.get(key) ?? []
    for (const other of others) {
      const overlap = compareHostPorts(port, other.port)
      if (overlap !== undefined) warnings.push(`${where}: ${overlap} port definition with ${other.where}`)
    }
    byNumber.set(key, [...others, entry])
  }
  for (const { port, where } of ports) {
    if (!port.name) continue
    const other = byName.get(port.name)
    if (other === undefined) byName.set(port.name, where)
    else {
      const detail = `services and probes that select ports by name will use ${other}`
      warnings.push(`${where}: duplicate port name "${port.name}" with ${other}, ${detail}`)
    }
  }
  return warnings
}

type Port = NonNullable<Container['ports']>[number]

function compareHostPorts(a: Readonly<Port>, b: Readonly<Port>): string | undefined {
  const [port, otherPort] = [a.hostPort ?? 0, b.hostPort ?? 0]
  const [ip, otherIp] = [a.hostIP ?? '', b.hostIP ?? '']
  if (ip === otherIp && port === otherPort) return 'duplicate'
  if (port === 0 || otherPort === 0) return 'overlapping'
  return port === otherPort && (ip === '') !== (otherIp === '') ? 'dangerously ambiguous' : undefined
}

function affinityWarnings({ affinity }: Readonly<PodSpec>, at: FieldPath): string[] {
  const warnings: string[] = []
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const { requiredDuringSchedulingIgnoredDuringExecution: required = [] } = affinity?.[kind] ?? {}
    const { preferredDuringSchedulingIgnoredDuringExecution: preferred = [] } = affinity?.[kind] ?? {}
    const path = at.child('affinity').child(kind)
    for (const [i, term] of required.entries()) {
      const where = path.child('requiredDuringSchedulingIgnoredDuringExecution').index(i)
      if (term.labelSelector === undefined) warnings.push(`${String(where.child('labelSelector'))}: ${NO_SELECTOR}`)
    }
    for (const [i, { podAffinityTerm: term }] of preferred.entries()) {
      const where = path.child('preferredDuringSchedulingIgnoredDuringExecution').index(i).child('podAffinityTerm')
      if (term?.labelSelector === undefined) warnings.push(`${String(where.child('labelSelector'))}: ${NO_SELECTOR}`)
    }
  }
  return warnings
}
