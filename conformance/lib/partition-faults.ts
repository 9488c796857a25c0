import type { Random } from '@centaurus/base'
import {
  ETCD_MEMBERS,
  GATEWAYS,
  PARTITIONS,
  PARTITIONS_WITH_DISKS,
  type HostName,
  type PartitionHosts,
} from './partition-hosts.ts'

const SLOW_KILOBITS = 2_000
/** Faults at the same time. */
export const TOGETHER_MAX = 3

/** Something that breaks for a while. */
export interface Fault {
  readonly name: string
  /** Machines that nobody can count on meanwhile. */
  readonly hits: readonly HostName[]
  /** Pods may still be placed there, and wait until it is over. */
  readonly keepsPodsWaiting?: boolean
  begin(): Promise<void>
  end(): Promise<void>
}

/** One fault of each kind at each place where it can be. */
export function listFaults(hosts: PartitionHosts): Fault[] {
  return [...everywhere(hosts), ...betweenTwo(hosts), ...disks(hosts)]
}

function everywhere(hosts: PartitionHosts): Fault[] {
  const { network } = hosts
  const all: readonly HostName[] = [...PARTITIONS, ...ETCD_MEMBERS, ...GATEWAYS]
  return all.flatMap((name) => {
    const host = network.host(name)
    const others = [...all, 'admin'].filter((other) => other !== name)
    const into = others.map((from) => ({ from, to: name }))
    const outOf = others.map((to) => ({ from: name, to }))
    const isPartition = (PARTITIONS as readonly string[]).includes(name)
    const hits = [name]
    return [
      { name: `${name} is cut off`, hits, begin: () => host.cut(), end: () => host.heal() },
      { name: `${name} hears nothing`, hits, begin: () => network.block(into), end: () => network.unblock(into) },
      { name: `${name} is not heard`, hits, begin: () => network.block(outOf), end: () => network.unblock(outOf) },
      {
        name: `${name} is frozen`,
        hits,
        begin: () => hosts.signal(name, 'SIGSTOP'),
        end: () => hosts.signal(name, 'SIGCONT'),
      },
      { name: `${name} is slow`, hits: [], begin: () => host.slowDown(SLOW_KILOBITS), end: () => host.speedUp() },
      {
        name: `${name} is killed`,
        hits,
        begin: () => hosts.kill(name),
        // Supervisors start control planes again.
        end: async () => void (isPartition || hosts.start(name as Exclude<HostName, (typeof PARTITIONS)[number]>)),
      },
    ]
  })
}

/** What one can't tell another. */
function betweenTwo({ network }: PartitionHosts): Fault[] {
  const pairs: readonly (readonly [HostName, HostName])[] = [
    ...(['home', 'tp1'] as const).flatMap((tp) => (['rp0', 'rp1'] as const).map((rp) => [tp, rp] as const)),
    ['home', 'tp1'],
    ...GATEWAYS.flatMap((gateway) => PARTITIONS.map((partition) => [gateway, partition] as const)),
  ]
  return pairs.flatMap(([a, b]) =>
    [
      { from: a, to: b, hit: b },
      { from: b, to: a, hit: b },
    ].map(({ from, to, hit }) => {
      const isGateways = (GATEWAYS as readonly string[]).includes(a)
      return {
        name: `${to} hears nothing of ${from}`,
        hits: [isGateways ? a : hit],
        begin: () => network.block([{ from, to }]),
        end: () => network.unblock([{ from, to }]),
      }
    }),
  )
}

function disks(hosts: PartitionHosts): Fault[] {
  return PARTITIONS_WITH_DISKS.map((name) => ({
    name: `the disk of ${name} is full`,
    hits: [name],
    // A claim is smaller than its pod.
    keepsPodsWaiting: name === 'rp1',
    begin: () => hosts.fillDisk(name),
    end: () => hosts.emptyDisk(name),
  }))
}

/** Whether the cluster must go on with all these at once: there is a tenant partition with nodes, a gateway, and a majority of etcd. */
export function isBearable(faults: readonly Fault[]): boolean {
  const hit = faults.flatMap(({ hits }) => hits)
  const countOf = (names: readonly string[]): number => names.filter((name) => hit.includes(name as HostName)).length
  const isOnce = new Set(faults.map(({ name }) => name.split(' ')[0])).size === faults.length
  return (
    isOnce &&
    new Set(hit).size === hit.length &&
    countOf(['home', 'tp1']) < 2 &&
    countOf(['rp0', 'rp1']) < 2 &&
    countOf(GATEWAYS) < 2 &&
    countOf(ETCD_MEMBERS) < 2
  )
}

/** `count` times some of the faults at once, drawn so that all come before one comes again. Pure but for `random`. */
export function planWindows(faults: readonly Fault[], count: number, random: Random): Fault[][] {
  let left: Fault[] = []
  return Array.from({ length: count }, () => {
    const window: Fault[] = []
    const together = 1 + random.integer(TOGETHER_MAX)
    if (left.length < TOGETHER_MAX) left = [...left, ...shuffle(faults, random)]
    for (const fault of left) {
      if (window.length === together) break
      if (isBearable([...window, fault])) window.push(fault)
    }
    left = left.filter((fault) => !window.includes(fault))
    return window
  })
}

/** In another order. */
export function shuffle<T>(list: readonly T[], random: Random): T[] {
  const keyed = list.map((item) => ({ item, key: random.next() }))
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item)
}
