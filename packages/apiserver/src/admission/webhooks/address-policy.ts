import { BlockList, isIP, isIPv4 } from 'node:net'

/** What is no public address: hosts of this and other private networks, and the many ways to write them. Source: IANA's special-purpose registries. */
const PRIVATE_V4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
]
/** Of IPv6 only `2000::/3` is given out; these parts of it lead to IPv4 addresses or nowhere. */
const PUBLIC_V6 = '2000::/3'
const PRIVATE_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

const private4 = listOf(PRIVATE_V4)
const private6 = listOf(PRIVATE_V6)
const public6 = listOf([PUBLIC_V6])

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
