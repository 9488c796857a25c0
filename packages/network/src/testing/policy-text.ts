import type { Party } from './policy-oracle.ts'

/** `namespace/name (address, labels)` or the address. */
export function describeParty(party: Party): string {
  if ('address' in party) return party.address
  const { namespace, name, ip, labels, namedPorts } = party.pod
  const ports = namedPorts.map((named) => `${named.name}=${named.protocol}/${named.port}`)
  return `${namespace}/${name} (${[ip, JSON.stringify(labels), ...ports].join(' ')})`
}
