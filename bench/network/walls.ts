import {
  createBareHost,
  createPodDevice,
  createWire,
  type NetworkNamespace,
  planHost,
} from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { measureConnections } from './connections.ts'

/**
 * Policy as others enforce it between routed pods of one host: nftables with one set for everything, which is the best that it can do, and one
 * rule with an ipset for each policy, as kube-router and older providers do. Both let established flows pass by connection tracking first.
 */

/** Addresses that one policy allows. */
export const ADDRESSES_A_POLICY = 8
export const PORT_FIRST = 5_000
export const PORT_LAST = 12_000

/** A pod behind the host's own routing, as Calico sets it up: no bridge, a route of one address. */
export function createRoutedPod(
  host: NetworkNamespace,
  { name, ip, mtu }: { readonly name: string; readonly ip: string; readonly mtu: number },
): NetworkNamespace {
  const { namespace, device } = createPodDevice(host, { name, ip }, mtu)
  host.ip(`
    link set ${device} address 02:ce:47:00:00:01
    route add ${ip}/32 dev ${device}`)
  return namespace
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

const POLICY_COUNTS = [10, 1_000, 10_000] as const
const CONNECTIONS = 500
const CLIENT = '10.244.1.2'
const SERVER = '10.244.1.3'

/** What a new connection costs as policies grow, by each wall. */
export async function measureWalls({ rounds, log }: BenchContext): Promise<readonly BenchResult[]> {
  const options = { mtu: 1500, prefix: 'wall-' }
  const host = createBareHost(createWire(options), planHost(1, options))
  const client = createRoutedPod(host, { name: 'wall-a', ip: CLIENT, mtu: 1500 })
  const server = createRoutedPod(host, { name: 'wall-b', ip: SERVER, mtu: 1500 })
  const walls = { nftables: nftablesWall(host), ipset: ipsetWall(host) }
  const ends = { client, server, serverIP: SERVER }
  measureConnections(ends, CONNECTIONS)
  const results: BenchResult[] = []
  for (const policies of POLICY_COUNTS) {
    for (const [name, wall] of Object.entries(walls)) {
      log(`walls: ${name} with ${policies} policies`)
      const began = performance.now()
      wall.apply({ client: CLIENT, server: SERVER, policies })
      const programmedMs = performance.now() - began
      const samples = Array.from({ length: rounds }, () => measureConnections(ends, CONNECTIONS))
      wall.remove()
      const at = `${name}, ${policies} policies`
      results.push(
        benchResult({ metric: `new TCP connection, ${at}`, unit: 'µs', value: median(samples) }),
        benchResult({ metric: `programming, ${at}`, unit: 'ms', value: programmedMs }),
      )
    }
  }
  return results
}
