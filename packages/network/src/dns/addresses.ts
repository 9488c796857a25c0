import { BlockList, isIP } from 'node:net'
import { GLOBAL_IPV6_NETWORK, SPECIAL_IPV4_NETWORKS, SPECIAL_IPV6_NETWORKS } from '@centaurus/base'

/** A resolver that is asked. */
export interface DnsUpstream {
  readonly host: string
  readonly port: number
}

const DNS_PORT = 53
const PORT_MAX = 65_535

const special = listOf([...SPECIAL_IPV4_NETWORKS, ...SPECIAL_IPV6_NETWORKS])
const globalV6 = listOf([GLOBAL_IPV6_NETWORK])

/** True for addresses of the internet, which lead to no host or pod of this cluster. */
export function isPublic(address: string): boolean {
  return !isIn(special, address) && (isIP(address) === 4 || isIn(globalV6, address))
}

/** Whether one of the networks has the address. */
export function isIn(networks: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && networks.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/** Networks such as `10.1.0.0/16`. Throws SyntaxError for what is none. */
export function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits = '', ...more] = network.split('/')
    const version = isIP(address)
    const isPrefix = /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)
    if (version === 0 || !isPrefix || more.length > 0)
      throw new SyntaxError(`${JSON.stringify(network)} must be a network such as 10.1.0.0/16`)
    list.addSubnet(address, Number(bits), version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/** Reads `10.0.0.1`, `10.0.0.1:5353`, `fd00::1` or `[fd00::1]:5353`; undefined for anything else. */
export function parseUpstream(text: string): DnsUpstream | undefined {
  const bare = text.replace(/^\[([^\]]*)\]$/, '$1')
  if (isIP(bare) !== 0) return { host: bare, port: DNS_PORT }
  const match = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  return isIP(host) !== 0 && port >= 1 && port <= PORT_MAX ? { host, port } : undefined
}

/** `10.0.0.1:53` or `[fd00::1]:53`. */
export function formatUpstream({ host, port }: DnsUpstream): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
