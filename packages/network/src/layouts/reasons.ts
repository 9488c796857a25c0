/** Why a packet was dropped. The order is the number in the kernel: add at the end. */
export const DROP_REASONS = [
  'None',
  'PolicyIngress',
  'PolicyEgress',
  'PolicyPeerEgress',
  'NotReady',
  'UnknownIdentity',
  'SpoofedAddress',
  'SpoofedMac',
  'NoEndpoint',
  'NoRoute',
  'UnknownNode',
  'UnknownDevice',
  'IPv6',
  'Vlan',
  'EtherType',
  'IPOptions',
  'Multicast',
  'Martian',
  'Truncated',
  'Malformed',
  'FragmentUnknown',
  'TooBig',
  'TunnelMalformed',
  'TunnelOption',
  'Ecn',
  'ServiceNoBackend',
  'ServiceTranslation',
  'Redirect',
] as const

/** Name of a reason, as metrics and explanations say it. */
export type DropReason = (typeof DROP_REASONS)[number]
