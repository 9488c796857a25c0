import type { BpfMap } from '../kernel/bpf-map.ts'
import { counter, dropEvent, ruleKey } from '../layouts/layouts.ts'
import { DROP_REASONS } from '../layouts/reasons.ts'
import type { Counters, DropEvent } from './dataplane.ts'

interface Count {
  readonly packets: number
  readonly bytes: number
}

/** Sums over CPUs, since the tables were made. Reasons without a packet are left out. */
export function readCounters(maps: { readonly drops: BpfMap; readonly rules: BpfMap }): Counters {
  const drops = maps.drops.entries().flatMap(([key, value]) => {
    const reason = DROP_REASONS[key.readUInt32LE()]
    const sum = sumCounters(value)
    return reason === undefined || sum.packets === 0 ? [] : [[reason, sum] satisfies [string, Count]]
  })
  const rules = maps.rules.entries().map(([key, value]) => [ruleKey.decode(key).rule, sumCounters(value)] as const)
  return { drops: new Map(drops), rules: new Map(rules) }
}

function sumCounters(value: Buffer): Count {
  let packets = 0n
  let bytes = 0n
  for (let offset = 0; offset < value.length; offset += counter.size) {
    const one = counter.decode(value.subarray(offset, offset + counter.size))
    packets += one.packets
    bytes += one.bytes
  }
  return { packets: Number(packets), bytes: Number(bytes) }
}

/** A record of the drop log. */
export function decodeDrop(sample: Uint8Array): DropEvent {
  const { reason, direction, ...rest } = dropEvent.decode(sample)
  return {
    ...rest,
    reason: DROP_REASONS[reason] ?? `Reason${reason}`,
    direction: direction === 0 ? 'ingress' : 'egress',
  }
}
