import { createHash } from 'node:crypto'
import { HOST_DEVICE } from '../host/host-plan.ts'
import { EGRESS_MARK_MASK, MASQUERADE_PORTS } from '../host/nat-table.ts'
import { EGRESS_MARK } from '../layouts/layouts.ts'

/** The nftables table that gives packets of networks their addresses. Nothing else is in it. */
export const EGRESS_TABLE = 'centaurus-egress'

/**
 * The whole table, as a script that replaces the one that is there in one step. Programs have marked the packets with their networks' numbers. Flows of a network are
 * apart from those that it had by another address, or none: only the first packet of a flow gets an address, and no flow may go on with an old one. What has a mark
 * and no address here is dropped by the host's own table. Answers are in the zone of everybody, since nobody knows whose they are before they are translated back.
 */
export function formatEgressTable(sources: ReadonlyMap<number, string>): string {
  const all = [...sources].sort(([a], [b]) => a - b)
  const elements = (value: (vni: number, address: string) => string | number): string =>
    all.length === 0 ? '' : `elements = { ${all.map(([vni, ip]) => `${markOf(vni)} : ${value(vni, ip)}`).join(', ')} };`
  const marked = `meta mark & ${EGRESS_MARK_MASK} == ${hex(EGRESS_MARK)}`
  return `table ip ${EGRESS_TABLE}
delete table ip ${EGRESS_TABLE}
table ip ${EGRESS_TABLE} {
  map addresses { type mark : ipv4_addr; ${elements((_, ip) => ip)} }
  map zones { typeof meta mark : ct zone; ${elements(zoneOf)} }
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname "${HOST_DEVICE}" ${marked} ct original zone set meta mark map @zones
  }
  chain postrouting {
    type nat hook postrouting priority 99; policy accept;
    oifname != { "${HOST_DEVICE}", "lo" } ${marked} meta l4proto { tcp, udp, sctp } snat to meta mark map @addresses : ${MASQUERADE_PORTS} fully-random
    oifname != { "${HOST_DEVICE}", "lo" } ${marked} snat to meta mark map @addresses
  }
}
`
}

/** Takes the table away; it need not be there. */
export function formatEgressRemoval(): string {
  return `table ip ${EGRESS_TABLE}\ndelete table ip ${EGRESS_TABLE}\n`
}

function markOf(vni: number): string {
  return hex(EGRESS_MARK + vni)
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/** From 1 to 65,535. Two that are the same harm nobody but flows that a network had by another address: they would go on. */
function zoneOf(vni: number, address: string): number {
  const hash = createHash('sha256').update(`${vni} ${address}`).digest().readUInt16BE(0)
  return hash === 0 ? 1 : hash
}
