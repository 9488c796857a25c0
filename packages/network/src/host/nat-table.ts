import type { HostPort } from '../cni/attachment.ts'
import { ALIAS_CIDR } from '../egress/plan-aliases.ts'
import { TRANSIT_CIDR, TRANSIT_HOST } from '../ipam/ipam.ts'
import { EGRESS_MARK } from '../layouts/layouts.ts'
import { HOST_DEVICE } from './host-plan.ts'

/** Our nftables table. Nothing else is in it, and nothing of ours is elsewhere. */
export const NAT_TABLE = 'centaurus-network'

/** Above the node ports: an answer to a flow that left by the port of a Service would be taken for a request to that. */
export const MASQUERADE_PORTS = '32768-65535'

/** What tells a mark of a network's egress from others. */
export const EGRESS_MARK_MASK = '0xff000000'

/** A port of the host, and the pod that it leads to, by the address that the host knows. */
export interface OpenHostPort extends HostPort {
  readonly target: string
}

export interface NatTableOptions {
  /** Addresses of this host's pods: what they send to the world leaves with the host's address. */
  readonly podSources: readonly string[]
  readonly hostPorts: readonly OpenHostPort[]
}

/**
 * The whole table, as a script that replaces the one that is there in one step. Ports of one address come before ports of every address. What comes to a host port
 * from this host's own pods, or from the loopback, is given the host's address: its answers must come back through here. What was to leave by an address of its
 * network, and has none, does not leave: then its flow is in everybody's zone, see egress-rules.ts. Nobody asks pods by their aliases
 * (plan-aliases.ts): these are for answers.
 */
export function formatNatTable({ podSources, hostPorts }: NatTableOptions): string {
  const everywhere = hostPorts.filter(({ hostIP }) => hostIP === undefined)
  const somewhere = hostPorts.filter(({ hostIP }) => hostIP !== undefined)
  return `table ip ${NAT_TABLE}
delete table ip ${NAT_TABLE}
table ip ${NAT_TABLE} {
  set pods { type ipv4_addr; flags interval; elements = { ${podSources.join(', ')} }; }
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; ${formatElements(everywhere)} }
  map ports-at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; ${formatElements(somewhere)} }
  chain host-ports {
    dnat ip to ip daddr . meta l4proto . th dport map @ports-at
    dnat ip to meta l4proto . th dport map @ports
  }
  chain as-host {
    ip daddr ${TRANSIT_CIDR} snat to ${TRANSIT_HOST}
    masquerade
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local meta l4proto { tcp, udp, sctp } jump host-ports
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local meta l4proto { tcp, udp, sctp } jump host-ports
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "${HOST_DEVICE}" meta mark & ${EGRESS_MARK_MASK} == ${EGRESS_MARK} ct original zone 0 drop
    oifname "${HOST_DEVICE}" ip daddr ${ALIAS_CIDR} ct direction reply accept
    oifname "${HOST_DEVICE}" ip daddr ${ALIAS_CIDR} drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "${HOST_DEVICE}" ip saddr 127.0.0.0/8 jump as-host
    oifname "${HOST_DEVICE}" ct status dnat ip saddr @pods jump as-host
    oifname != { "${HOST_DEVICE}", "lo" } ip saddr @pods meta l4proto { tcp, udp, sctp } masquerade to :${MASQUERADE_PORTS} fully-random
    oifname != { "${HOST_DEVICE}", "lo" } ip saddr @pods masquerade
  }
}
`
}

/** Opens or closes ports, all of them or none. Opening fails when one leads to another pod; to close one that is not open fails too. */
export function formatHostPortChange(change: 'add' | 'delete', ports: readonly OpenHostPort[]): string {
  return ports
    .map((port) => {
      const map = port.hostIP === undefined ? 'ports' : 'ports-at'
      const element = change === 'add' ? formatElement(port) : formatKey(port)
      return `${change} element ip ${NAT_TABLE} ${map} { ${element} }\n`
    })
    .join('')
}

/** Takes the table away; it need not be there. */
export function formatNatRemoval(): string {
  return `table ip ${NAT_TABLE}\ndelete table ip ${NAT_TABLE}\n`
}

function formatElements(ports: readonly OpenHostPort[]): string {
  return ports.length === 0 ? '' : `elements = { ${ports.map(formatElement).join(', ')} };`
}

function formatElement(port: OpenHostPort): string {
  return `${formatKey(port)} : ${port.target} . ${port.containerPort}`
}

function formatKey({ hostIP, protocol, hostPort }: HostPort): string {
  return `${hostIP === undefined ? '' : `${hostIP} . `}${protocol} . ${hostPort}`
}
