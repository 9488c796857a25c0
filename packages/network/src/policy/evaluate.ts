import { covers, parseAddress, parseBlock } from './block.ts'
import type { CidrVerdicts, PolicySet, PortProtocol, Segment, VerdictList } from './policy-set.ts'
import { PROTOCOLS } from './verdict-list.ts'

/** A packet that begins a flow. */
export interface FlowStart {
  readonly protocol: PortProtocol
  /** Destination port; 0 for `other`. */
  readonly port: number
}

/** A packet that arrives at a pod. */
export interface Arrival extends FlowStart {
  /** Identity that came with it. */
  readonly identity: number
  readonly source: string
}

/** What a pod's set says of who sends to it: the look-ups that the programs do, in the same order. */
export function judgeIngress({ ingress }: PolicySet, { identity, source, ...flow }: Arrival): Segment {
  const byIdentity = findSegment(ingress.byIdentity.get(identity) ?? ingress.others, flow)
  const list = findBlock(ingress.cidrs, source)
  if (list === undefined) return byIdentity
  const byAddress = findSegment(list, flow)
  return byAddress.precedence < byIdentity.precedence ? byAddress : byIdentity
}

/** What a pod's set says of the egress policies of who sends to it; undefined: nothing, it is allowed. */
export function judgePeerEgress(
  { egressOfPeers }: PolicySet,
  { identity, ...flow }: FlowStart & { identity: number },
): Segment | undefined {
  const list = egressOfPeers.get(identity)
  return list === undefined ? undefined : findSegment(list, flow)
}

/** What a pod's own set says of a packet to a pod of its network. That it is allowed means that it may be. */
export function judgeEgressToPod({ egress }: PolicySet, flow: FlowStart): Segment {
  return findSegment(egress.toPods, flow)
}

/** What a pod's own set says of a packet to an address outside of its network. */
export function judgeEgressOutside(
  { egress }: PolicySet,
  { destination, ...flow }: FlowStart & { destination: string },
): Segment {
  return findSegment(findBlock(egress.outside.cidrs, destination) ?? egress.outside.others, flow)
}

/** The segment of a protocol and port. */
export function findSegment(list: VerdictList, { protocol, port }: FlowStart): Segment {
  const wanted = startOf(protocol, port)
  let low = 0
  let high = list.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    const segment = list[middle]!
    if (startOf(segment.protocol, segment.firstPort) <= wanted) low = middle
    else high = middle - 1
  }
  return list[low]!
}

function startOf(protocol: PortProtocol, port: number): number {
  return PROTOCOLS.indexOf(protocol) * 65_536 + port
}

function findBlock(cidrs: readonly CidrVerdicts[], address: string): VerdictList | undefined {
  const first = cidrs.length === 0 ? undefined : parseAddress(address)
  if (first === undefined) return undefined
  let found: VerdictList | undefined
  let longest = -1
  for (const { cidr, list } of cidrs) {
    const block = parseBlock(cidr)!
    if (block.prefix > longest && covers(block, { first, prefix: 32 })) {
      longest = block.prefix
      found = list
    }
  }
  return found
}
