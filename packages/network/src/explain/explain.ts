/**
 * Whether a pod may reach something, from the objects that the cluster has, as every host decides it.
 * Pure. All objects are one tenant's, under its own names.
 */
import type { Pod } from '@centaurus/api/core/v1'
import { parseIpv4, parseIpv4Block } from '@centaurus/base'
import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import { podFactsOf } from '../daemon/pod-facts.ts'
import { internalAddressOf } from '../daemon/topology.ts'
import type { FlowStart } from '../policy/evaluate.ts'
import { explainLeaving } from './explain-leaving.ts'
import { createExplainWorld, type ExplainObjects, type ExplainWorld } from './explain-world.ts'
import type { DirectionVerdict, ExplainedPath, Explanation, NamedPlace } from './explanation.ts'
import { findServiceTargets, type ServiceTargets } from './service-targets.ts'

export type ExplainTarget =
  | { readonly type: 'pod'; readonly pod: Readonly<Pod> }
  | { readonly type: 'address'; readonly address: string }
  | { readonly type: 'service'; readonly namespace: string; readonly name: string }

export interface ExplainQuestion {
  readonly source: Readonly<Pod>
  readonly target: ExplainTarget
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  /** A number, or the name of a port of the target. */
  readonly port: string
}

/** A question that has no answer, with what to do. */
export class ExplainError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ExplainError'
  }
}

/** Throws {@link ExplainError} when the target has no such port. */
export function explain(objects: ExplainObjects, question: ExplainQuestion): Explanation {
  const world = createExplainWorld(objects)
  const service = findService(world, question)
  if (service !== undefined) return explainService(world, question, service)
  const path = explainPath(world, question, resolveTarget(world, question))
  return { allowed: path.allowed, source: placeOfPod(question.source, 0), service: undefined, paths: [path], notes: [] }
}

function findService({ objects }: ExplainWorld, { source, target, protocol, port }: ExplainQuestion) {
  if (target.type === 'pod') return undefined
  const found = findServiceTargets(objects, { target, protocol, port, nodeName: source.spec?.nodeName ?? '' })
  if (typeof found === 'string') throw new ExplainError(found)
  return found
}

function explainService(world: ExplainWorld, question: ExplainQuestion, service: ServiceTargets): Explanation {
  const paths = service.backends.map(({ ip, port }) =>
    explainPath(world, question, { ...findEndpoint(world, ip, question.source), port }),
  )
  const allowed = paths.length > 0 && paths.every((path) => path.allowed)
  const notes =
    paths.length === 0
      ? ['The Service has no endpoint that serves, so connections are refused']
      : paths.some((path) => path.allowed) && !allowed
        ? ['Some endpoints may be reached and others not: what happens depends on which one a connection gets']
        : []
  return { allowed, source: placeOfPod(question.source, 0), service: service.described, paths, notes }
}

/** Where the packet goes in the end. */
interface Destination {
  readonly pod: Readonly<Pod> | undefined
  readonly address: string
  readonly port: number
}

function resolveTarget(world: ExplainWorld, { source, target, port }: ExplainQuestion): Destination {
  if (target.type === 'pod') {
    const number = portOf(target.pod, port)
    return { pod: target.pod, address: target.pod.status?.podIP ?? '', port: number }
  }
  if (target.type !== 'address') throw new ExplainError('There is no such Service')
  const found = findAt(world, target.address, source)
  return { ...found, port: found.pod === undefined ? numberOf(port, target.address) : portOf(found.pod, port) }
}

function findAt({ objects }: ExplainWorld, address: string, source: Readonly<Pod>): Omit<Destination, 'port'> {
  const pod = objects.pods.find(
    (each) =>
      each.status?.podIP === address && !isInHostNetwork(each) && vpcOf(each) === vpcOf(source) && !hasEnded(each),
  )
  return { pod, address }
}

/** A Service of another network leads to pods of that one. */
function findEndpoint(world: ExplainWorld, address: string, source: Readonly<Pod>): Omit<Destination, 'port'> {
  const { pod } = findAt(world, address, source)
  const isThere = (each: Readonly<Pod>): boolean =>
    each.status?.podIP === address && !isInHostNetwork(each) && !hasEnded(each)
  return { pod: pod ?? world.objects.pods.find(isThere), address }
}

function portOf(pod: Readonly<Pod>, port: string): number {
  if (/^\d+$/.test(port)) return Number(port)
  const { namedPorts } = podFactsOf(pod, '')
  const found = namedPorts.find(({ name }) => name === port)
  if (found !== undefined) return found.port
  const names = namedPorts.map(({ name }) => name).join(', ') || 'none'
  throw new ExplainError(`Pod ${nameOf(pod)} has no port named "${port}"; it has: ${names}`)
}

function numberOf(port: string, address: string): number {
  if (/^\d+$/.test(port)) return Number(port)
  throw new ExplainError(`${address} is no pod, so its port must be a number and not "${port}"`)
}

function explainPath(
  world: ExplainWorld,
  question: ExplainQuestion,
  { pod, address, port }: Destination,
): ExplainedPath {
  const { source, protocol } = question
  const destination = pod === undefined ? placeOfAddress(world, address, port) : placeOfPod(pod, port)
  const packet: FlowStart = { protocol, port }
  if (pod?.metadata.uid !== undefined && pod.metadata.uid === source.metadata.uid)
    return both(destination, open('A pod always reaches itself'))
  if (pod !== undefined && !isInHostNetwork(pod) && !isInHostNetwork(source) && vpcOf(pod) !== vpcOf(source)) {
    const why = `They are in different networks, ${vpcOf(source)} and ${vpcOf(pod)}`
    return both(destination, { allowed: false, isolated: true, rule: undefined, why })
  }
  if (pod === undefined && isNobodys(world, { source, address })) {
    const why = `No pod or Service of network ${vpcOf(source)} has the address ${address}`
    return both(destination, { allowed: false, isolated: true, rule: undefined, why })
  }
  const egress = explainEgress(world, { source, pod, address, packet })
  const ingress = explainIngress(world, { source, pod, packet })
  const isAllowed = egress.allowed && ingress.allowed
  if (pod !== undefined || destination.kind !== 'Address' || !isOfWorld(world, address))
    return { destination, allowed: isAllowed, egress, ingress }
  const wayOut = explainLeaving(world.objects, source)
  return { destination, allowed: isAllowed && wayOut.allowed, egress, ingress, wayOut }
}

/** Addresses of pods and Services that are not the tenant's lead nowhere. The host itself has but one view of them. */
function isNobodys(
  { objects }: ExplainWorld,
  { source, address }: { readonly source: Readonly<Pod>; readonly address: string },
): boolean {
  const value = parseIpv4(address)
  if (value === undefined || isInHostNetwork(source) || objects.dnsAddresses.includes(address)) return false
  if (objects.nodes.some((node) => internalAddressOf(node) === address)) return false
  return objects.networks.some((text) => {
    const block = parseIpv4Block(text)
    return block !== undefined && value >= block.first && value < block.first + block.size
  })
}

/** Source of the block: RFC 3927, where each host has others behind the same addresses. */
function isOfWorld({ objects }: ExplainWorld, address: string): boolean {
  return !address.startsWith('169.254.') && !objects.dnsAddresses.includes(address)
}

interface Path {
  readonly source: Readonly<Pod>
  /** Undefined: an address that is no pod's. */
  readonly pod: Readonly<Pod> | undefined
  readonly packet: FlowStart
}

function explainEgress(world: ExplainWorld, path: Path & { readonly address: string }): DirectionVerdict {
  const { source, pod, address, packet } = path
  if (isInHostNetwork(source))
    return open(`${nameOf(source)} uses the network of its host, about which policies say nothing`)
  const peer = pod === undefined ? address : isInHostNetwork(pod) ? (pod.status?.hostIP ?? address) : pod
  return world.judge({ direction: 'egress', pod: source, peer, packet })
}

function explainIngress(world: ExplainWorld, { source, pod, packet }: Path): DirectionVerdict {
  if (pod === undefined) return open('Policies say nothing about what reaches an address that is no pod')
  if (isInHostNetwork(pod)) return open(`${nameOf(pod)} uses the network of its host, about which policies say nothing`)
  if (isInHostNetwork(source) && source.spec?.nodeName === pod.spec?.nodeName)
    return open('A pod always accepts what comes from its own host')
  const peer = isInHostNetwork(source) ? (source.status?.hostIP ?? '') : source
  return world.judge({ direction: 'ingress', pod, peer, packet })
}

function both(destination: NamedPlace, verdict: DirectionVerdict): ExplainedPath {
  return { destination, allowed: verdict.allowed, egress: verdict, ingress: verdict }
}

function open(why: string): DirectionVerdict {
  return { allowed: true, isolated: false, rule: undefined, why }
}

function placeOfPod(pod: Readonly<Pod>, port: number): NamedPlace {
  return { kind: 'Pod', name: nameOf(pod), address: pod.status?.podIP ?? '', port }
}

function placeOfAddress({ objects }: ExplainWorld, address: string, port: number): NamedPlace {
  const node = objects.nodes.find((each) => internalAddressOf(each) === address)
  return node === undefined
    ? { kind: 'Address', name: address, address, port }
    : { kind: 'Node', name: node.metadata.name ?? '', address, port }
}

function nameOf({ metadata }: Readonly<Pod>): string {
  return `${metadata.namespace}/${metadata.name}`
}

function vpcOf({ metadata }: Readonly<Pod>): string {
  return metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
}

function isInHostNetwork({ spec }: Readonly<Pod>): boolean {
  return spec?.hostNetwork === true
}

function hasEnded({ status }: Readonly<Pod>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}
