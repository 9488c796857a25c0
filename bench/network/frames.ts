import {
  ethernet,
  geneve,
  GENEVE_PORT,
  identityOption,
  ipv4,
  PROTOCOL_NUMBERS,
  type TestPod,
  udp,
} from '@centaurus/network/testing'

export const GATEWAY_MAC = '02:ce:47:00:00:01'
/** Makes an Ethernet frame of 64 bytes. */
const PAYLOAD = Buffer.alloc(22)
/** That the policies of benches allow. */
export const SERVER_PORT = 8_000
const CLIENT_PORT = 40_000

export interface PodPacket {
  readonly source: string
  readonly destination: string
  /** From the server. */
  readonly isAnswer?: boolean
}

export function podPacket({ source, destination, isAnswer = false }: PodPacket): Buffer {
  const header = { source, destination, protocol: PROTOCOL_NUMBERS.UDP }
  const ports = isAnswer
    ? { sourcePort: SERVER_PORT, destinationPort: CLIENT_PORT }
    : { sourcePort: CLIENT_PORT, destinationPort: SERVER_PORT }
  return ipv4(header, udp(ports, PAYLOAD))
}

/** What the host of one pod sends to that of another. */
export function tunnelled(from: TestPod, to: TestPod, identity = from.endpoint.identity): Buffer {
  const packet = podPacket({ source: from.endpoint.ip, destination: to.endpoint.ip })
  const inner = ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, packet)
  const options = [identityOption(identity)]
  const ports = { sourcePort: 50_000, destinationPort: GENEVE_PORT }
  const datagram = udp(ports, geneve({ vni: to.endpoint.vni, options }, inner))
  const header = { source: from.host.plan.address, destination: to.host.plan.address, protocol: PROTOCOL_NUMBERS.UDP }
  return ethernet({ source: GATEWAY_MAC, destination: uplinkMac(to) }, ipv4(header, datagram))
}

function uplinkMac({ host }: TestPod): string {
  const [link] = JSON.parse(host.namespace.exec(['ip', '-j', 'link', 'show', 'eth0'])) as { address: string }[]
  return link!.address
}
