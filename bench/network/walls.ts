import {
  allowPorts,
  createBareHost,
  createPodDevice,
  createWire,
  DENY_ALL,
  type NetworkNamespace,
  OPEN,
  planHost,
  type PodDevice,
  policySet,
  TestCluster,
} from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { measureConnections } from './connections.ts'
import type { Ends } from './traffic.ts'

/**
 * Policy as others enforce it between routed pods of one host: nftables with one set for everything, which is the best that it can do, and one
 * rule with an ipset for each policy, as kube-router and older providers do. Both let established flows pass by connection tracking first.
 */

/** Addresses that one policy allows. */
const ADDRESSES_A_POLICY = 8
const PORT_FIRST = 5_000
const PORT_LAST = 12_000

const FIRST_IDENTITY = 256
const POLICY_COUNTS = [10, 1_000, 10_000] as const
const CONNECTIONS = 500
const CLIENT = '10.244.1.2'
const SERVER = '10.244.1.3'

/** A pod behind the host's own routing, as Calico sets it up: no bridge, a route of one address. */
function createRoutedPod(
  host: NetworkNamespace,
  { name, ip, mtu }: { readonly name: string; readonly ip: string; readonly mtu: number },
): PodDevice {
  const pod = createPodDevice(host, { name, ip }, mtu)
  host.ip(`
    route add ${ip}/32 dev ${pod.device}
    neigh add ${ip} dev ${pod.device} lladdr ${pod.mac} nud permanent`)
  return pod
}

export interface Wall {
  /** Protects `server` so that `client` may reach it by the last of so many policies. */
  apply(ends: { readonly client: string; readonly server: string; readonly policies: number }): void
  remove(): void
}

/** One set of (destination, source) for all policies. */
export function nftablesWall(host: NetworkNamespace): Wall {
  return {
    apply: ({ client, server, policies }) => {
      const sources = [...addressesOf(policies), client]
      const elements = sources.map((source) => `${server} . ${source}`).join(', ')
      host.exec(['nft', '-f', '-'], {
        input: `table ip wall {
          set allowed {
            type ipv4_addr . ipv4_addr
            elements = { ${elements} }
          }
          chain forward {
            type filter hook forward priority 0
            ct state established,related accept
            ip daddr ${server} ip daddr . ip saddr @allowed tcp dport ${PORT_FIRST}-${PORT_LAST} accept
            ip daddr ${server} ip daddr . ip saddr @allowed udp dport ${PORT_FIRST}-${PORT_LAST} accept
            ip daddr ${server} drop
          }
        }
        `,
      })
    },
    remove: () => void host.exec(['nft', 'delete', 'table', 'ip', 'wall']),
  }
}

/** A set and a rule for each policy. */
export function ipsetWall(host: NetworkNamespace): Wall {
  let applied = 0
  return {
    apply: ({ client, server, policies }) => {
      applied = policies
      const sets = Array.from({ length: policies }, (_, policy) => {
        const sources = [...addressesOf(1, policy), ...(policy === policies - 1 ? [client] : [])]
        const added = sources.map((source) => `add policy${policy} ${source}`)
        return [`create policy${policy} hash:ip hashsize 64`, ...added].join('\n')
      })
      host.exec(['ipset', 'restore'], { input: `${sets.join('\n')}\n` })
      const ports = `--dport ${PORT_FIRST}:${PORT_LAST}`
      const rules = Array.from({ length: policies }, (_, policy) =>
        ['tcp', 'udp'].map(
          (protocol) => `-A POD -p ${protocol} ${ports} -m set --match-set policy${policy} src -j ACCEPT`,
        ),
      ).flat()
      host.exec(['iptables-restore'], {
        input: `${[
          '*filter',
          ':FORWARD ACCEPT [0:0]',
          ':POD - [0:0]',
          '-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT',
          `-A FORWARD -d ${server}/32 -j POD`,
          ...rules,
          '-A POD -j DROP',
          'COMMIT',
        ].join('\n')}\n`,
      })
    },
    remove: () => {
      host.exec(['iptables', '-F'])
      host.exec(['iptables', '-X'])
      const sets = Array.from({ length: applied }, (_, policy) => `destroy policy${policy}`)
      host.exec(['ipset', 'restore'], { input: `${sets.join('\n')}\n` })
    },
  }
}

/** Sources that exist nowhere: 8 a policy, from 172.16.0.0 on. */
function addressesOf(policies: number, first = 0): string[] {
  return Array.from({ length: policies * ADDRESSES_A_POLICY }, (_, index) => {
    const number = first * ADDRESSES_A_POLICY + index
    return `172.${16 + (number >>> 16)}.${(number >>> 8) & 255}.${number & 255}`
  })
}

export interface RoutedHost {
  readonly host: NetworkNamespace
  readonly client: PodDevice
  readonly server: PodDevice
  readonly clientIP: string
  readonly serverIP: string
}

/** Two routed pods on a host without any policy yet. */
export function createRoutedHost(prefix: string): RoutedHost {
  const options = { mtu: 1500, prefix }
  const host = createBareHost(createWire(options), planHost(1, options))
  const client = createRoutedPod(host, { name: `${prefix}a`, ip: CLIENT, mtu: 1500 })
  const server = createRoutedPod(host, { name: `${prefix}b`, ip: SERVER, mtu: 1500 })
  return { host, client, server, clientIP: CLIENT, serverIP: SERVER }
}

/** What a new connection costs as policies grow, by each wall and by ours. */
export async function measureWalls({ rounds, log }: BenchContext): Promise<readonly BenchResult[]> {
  const { host, client, server } = createRoutedHost('wall-')
  const theirs = { client: client.namespace, server: server.namespace, serverIP: SERVER }
  const ours = await createOurWall()
  const candidates: Readonly<Record<string, { wall: Wall; ends: Ends }>> = {
    ours: { wall: ours.wall, ends: ours.ends },
    nftables: { wall: nftablesWall(host), ends: theirs },
    ipset: { wall: ipsetWall(host), ends: theirs },
  }
  const results: BenchResult[] = []
  for (const policies of POLICY_COUNTS) {
    for (const [name, { wall, ends }] of Object.entries(candidates)) {
      log(`walls: ${name} with ${policies} policies`)
      const began = performance.now()
      wall.apply({ client: CLIENT, server: SERVER, policies })
      const programmedMs = performance.now() - began
      measureConnections(ends, CONNECTIONS)
      const samples = Array.from({ length: rounds }, () => measureConnections(ends, CONNECTIONS))
      wall.remove()
      const at = `${name}, ${policies} policies`
      results.push(
        benchResult({ metric: `new TCP connection, ${at}`, unit: 'µs', value: median(samples) }),
        benchResult({ metric: `programming, ${at}`, unit: 'ms', value: programmedMs }),
      )
    }
  }
  ours.close()
  return [...results, judgeGrowth(results)]
}

/** How much more a new connection costs with the most policies than with the fewest. */
function judgeGrowth(results: readonly BenchResult[]): BenchResult {
  const at = (policies: number): number =>
    results.find(({ metric }) => metric === `new TCP connection, ours, ${policies} policies`)!.value!
  const [first, last] = [POLICY_COUNTS[0], POLICY_COUNTS.at(-1)!]
  const peer = { name: `with ${first}`, value: at(first) }
  const metric = `new TCP connection, ours, with ${last} policies`
  return benchResult({ metric, unit: 'µs', value: at(last), peer, target: { ratioAtMost: 1.15 } })
}

/** As many policies on our pods: each allows one identity more. */
async function createOurWall(): Promise<{ wall: Wall; ends: Ends; close: () => void }> {
  const cluster = await TestCluster.create({ hosts: 1, attach: 'tcx', prefix: 'wo-' })
  const client = cluster.addPod({ name: 'client', host: 1, identity: FIRST_IDENTITY })
  const server = cluster.addPod({ name: 'server', host: 1, identity: FIRST_IDENTITY })
  const list = allowPorts(
    (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, firstPort: PORT_FIRST, lastPort: PORT_LAST })),
  )
  return {
    wall: {
      apply: ({ policies }) => {
        const peers = Array.from({ length: policies }, (_, index) => [FIRST_IDENTITY + index, list] as const)
        cluster.setPolicySet('server', policySet({ ingress: { byIdentity: new Map(peers), others: DENY_ALL } }))
      },
      remove: () => cluster.setPolicySet('server', OPEN),
    },
    ends: { client: client.namespace, server: server.namespace, serverIP: server.endpoint.ip },
    close: () => cluster.close(),
  }
}
