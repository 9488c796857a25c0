import { GATEWAY_MAC } from '../layouts/layouts.ts'
import { GATEWAY_ADDRESS, type Attachment } from './attachment.ts'
import type { CniConfig } from './cni-request.ts'

/** What ADD answers, in the version that was asked for. Source: CNI specification 0.4.0 and 1.0.0, "Result". Pure. */
export function formatCniResult(
  { device, ifname, mac, netns, ip }: Attachment,
  { cniVersion, dns }: Pick<CniConfig, 'cniVersion' | 'dns'>,
): string {
  return JSON.stringify({
    cniVersion,
    interfaces: [
      { name: device, mac: GATEWAY_MAC },
      { name: ifname, mac, sandbox: netns },
    ],
    ips: [
      {
        ...(cniVersion === '0.4.0' ? { version: '4' } : {}), // newer versions see it by the address
        interface: 1,
        address: `${ip}/32`,
        gateway: GATEWAY_ADDRESS,
      },
    ],
    routes: [{ dst: '0.0.0.0/0', gw: GATEWAY_ADDRESS }],
    dns: dns ?? {},
  })
}
