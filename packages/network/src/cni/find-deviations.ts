import type { SeenPodLink } from '../host/pod-links.ts'
import { GATEWAY_MAC } from '../layouts/layouts.ts'
import { GATEWAY_ADDRESS, type Attachment } from './attachment.ts'

/** What of a pod's network is not as ADD left it, a sentence each. Pure. */
export function findDeviations({ device, ifname, ip, mac, mtu }: Attachment, seen: SeenPodLink): string[] {
  const expectations: readonly [what: string, is: unknown, should: unknown][] = [
    [`MTU of "${device}" on the host`, seen.hostMtu, mtu],
    [`MTU of "${ifname}" in the pod`, seen.mtu, mtu],
    [`MAC address of "${ifname}"`, seen.mac, mac],
    [`state of "${ifname}"`, seen.isUp ? 'up' : 'down', 'up'],
    ['default gateway', seen.defaultGateway, GATEWAY_ADDRESS],
    ['MAC address of the gateway', seen.gatewayMac, GATEWAY_MAC],
  ]
  const wrong = expectations
    .filter(([, is, should]) => is !== should)
    .map(([what, is, should]) => `the ${what} is ${String(is ?? 'not set')} and should be ${String(should)}`)
  if (seen.addresses.includes(`${ip}/32`)) return wrong
  return [`the address ${ip} is not on "${ifname}", which has ${seen.addresses.join(', ') || 'none'}`, ...wrong]
}
