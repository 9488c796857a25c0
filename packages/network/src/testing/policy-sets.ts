import { createHash } from 'node:crypto'
import type { PolicySet, PortProtocol, Segment, VerdictList } from '../policy/policy-set.ts'

/** Policy sets written by hand, for tests of the programs that need no compiler. */

const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP', 'other']
const PORT_LAST = 65_535
/** What `others` says when a policy selects the pod; rules of policies come before. */
const PRECEDENCE_DEFAULT = 60_000
const PRECEDENCE_RULE = 100

export interface AllowedPorts {
  readonly protocol: PortProtocol
  readonly firstPort: number
  readonly lastPort: number
}

export const ALLOW_ALL: VerdictList = PROTOCOLS.map((protocol) => whole(protocol, 'allow'))
export const DENY_ALL: VerdictList = PROTOCOLS.map((protocol) => whole(protocol, 'deny'))

/** Allows these ports, which must be in order and apart, and denies the rest. */
export function allowPorts(ports: readonly AllowedPorts[], rule = 1): VerdictList {
  return PROTOCOLS.flatMap((protocol) => {
    const segments: Segment[] = []
    let next = 0
    for (const { firstPort, lastPort } of ports.filter((each) => each.protocol === protocol)) {
      if (firstPort > next) segments.push({ ...whole(protocol, 'deny'), firstPort: next, lastPort: firstPort - 1 })
      segments.push({ protocol, firstPort, lastPort, allow: true, precedence: PRECEDENCE_RULE, rule })
      next = lastPort + 1
    }
    if (next <= PORT_LAST) segments.push({ ...whole(protocol, 'deny'), firstPort: next })
    return segments
  })
}

/** One port of TCP and the same of UDP. */
export function allowPort(port: number): VerdictList {
  return allowPorts([
    { protocol: 'TCP', firstPort: port, lastPort: port },
    { protocol: 'UDP', firstPort: port, lastPort: port },
  ])
}

function whole(protocol: PortProtocol, verdict: 'allow' | 'deny'): Segment {
  return {
    protocol,
    firstPort: 0,
    lastPort: PORT_LAST,
    allow: verdict === 'allow',
    precedence: PRECEDENCE_DEFAULT,
    rule: 0,
  }
}

export interface PolicySetParts {
  readonly ingress?: Partial<PolicySet['ingress']>
  readonly egressOfPeers?: PolicySet['egressOfPeers']
  readonly egress?: Partial<PolicySet['egress']>
}

/** A set that allows what its parts do not deny. Its key is its content. */
export function policySet(parts: PolicySetParts = {}): PolicySet {
  const content = {
    ingress: { byIdentity: new Map(), others: ALLOW_ALL, cidrs: [], ...parts.ingress },
    egressOfPeers: parts.egressOfPeers ?? new Map(),
    egress: { isolated: false, toPods: ALLOW_ALL, outside: { others: ALLOW_ALL, cidrs: [] }, ...parts.egress },
  }
  const text = JSON.stringify(content, (_, value: unknown) => (value instanceof Map ? [...value] : value))
  return { key: createHash('sha256').update(text).digest('hex'), ...content }
}

export const OPEN = policySet()
export const CLOSED = policySet({ ingress: { others: DENY_ALL } })
