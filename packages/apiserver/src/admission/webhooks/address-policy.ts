import { BlockList, isIP, isIPv4 } from 'node:net'
import { GLOBAL_IPV6_NETWORK, SPECIAL_IPV4_NETWORKS, SPECIAL_IPV6_NETWORKS } from '@centaurus/base'

const private4 = listOf(SPECIAL_IPV4_NETWORKS)
const private6 = listOf(SPECIAL_IPV6_NETWORKS)
const public6 = listOf([GLOBAL_IPV6_NETWORK])

/** Whom the server calls for a tenant. */
export interface AddressPolicy {
  /** True for addresses that a tenant's webhook may have. */
  allows(address: string): boolean
  /** True for those that the operator opened by name. */
  opens(address: string): boolean
}

/**
 * Public addresses, and the networks that the operator opens. Throws for a network that is no CIDR.
 * See `decisions/010-webhooks-of-tenants.md`.
 */
export function createAddressPolicy(openNetworks: readonly string[]): AddressPolicy {
  const opened = listOf(openNetworks)
  const opens = (address: string): boolean => contains(opened, plainAddress(address))
  return { opens, allows: (address) => opens(address) || isPublic(plainAddress(address)) }
}

function isPublic(address: string): boolean {
  if (isIP(address) === 0) return false
  if (isIPv4(address)) return !contains(private4, address)
  return contains(public6, address) && !contains(private6, address)
}

/** An IPv4 address that is written as an IPv6 one is that IPv4 address. */
function plainAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)
  return mapped?.[1] ?? bare
}

function contains(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/')
    const version = isIP(address)
    const prefix = Number(bits)
    if (version === 0 || !/^\d+$/.test(bits) || prefix > (version === 4 ? 32 : 128)) {
      throw new Error(`${JSON.stringify(network)} is no network: write it as 10.1.0.0/16 or fd00::/8`)
    }
    list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
