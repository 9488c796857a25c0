/** IPv4 networks in which an address is no public one: hosts of this and other private networks, and special uses. Source: IANA's special-purpose registry. */
export const SPECIAL_IPV4_NETWORKS: readonly string[] = [
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

/** The only part of IPv6 that is given out to the public, by IANA's registry. */
export const GLOBAL_IPV6_NETWORK = '2000::/3'

/** Parts of {@link GLOBAL_IPV6_NETWORK} that lead to IPv4 addresses or nowhere. */
export const SPECIAL_IPV6_NETWORKS: readonly string[] = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']
