/** What is asked of the kernel for a pod's device. Pure. Numbers and layouts: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour,genetlink,ethtool_netlink}.h. */
import { parseIpv4 } from '@centaurus/base'
import { GATEWAY_ADDRESS, type Attachment } from '../cni/attachment.ts'
import { attribute, findAttribute, type NetlinkRequest } from '../kernel/netlink.ts'
import { GATEWAY_MAC } from '../layouts/layouts.ts'

/** What a pod's device needs to be made. */
export type PodLink = Pick<Attachment, 'device' | 'ifname' | 'ip' | 'mac' | 'mtu'> & { readonly netns: string }

/**
 * What a pod's device does itself, by the kernel's names. GRO, because frames that an XDP program sends on come in through NAPI, which a veth has only with it. No large
 * SCTP packets: the kernel can't put those into a tunnel (net/core/filter.c, bpf_skb_net_grow), so the pod cuts them.
 */
export const POD_FEATURES = { 'rx-gro': true, 'tx-sctp-segmentation': false } as const

const NLM_F_EXCL = 0x200
const NLM_F_CREATE = 0x400
const RTM = { newLink: 16, deleteLink: 17, getLink: 18, newAddress: 20, newRoute: 24, newNeighbour: 28 } as const
const AF_INET = 2
const AF_INET6 = 10
const IFF_UP = 1
const LOOPBACK_INDEX = 1
const IFLA = { address: 1, ifname: 3, mtu: 4, linkInfo: 18, afSpec: 26, netNsFd: 28 } as const
const IFLA_INFO = { kind: 1, data: 2 } as const
const VETH_INFO_PEER = 1
const IFLA_INET6_ADDR_GEN_MODE = 8
const IN6_ADDR_GEN_MODE_NONE = 1
const IFA = { address: 1, local: 2 } as const
const RTA = { destination: 1, outDevice: 4, gateway: 5 } as const
const RT_TABLE_MAIN = 254
const RTPROT_BOOT = 3
const RT_SCOPE = { universe: 0, link: 253 } as const
const RTN_UNICAST = 1
const NDA = { destination: 1, linkAddress: 2 } as const
const NUD_PERMANENT = 0x80
const IFINFOMSG_BYTES = 16

const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR = { familyId: 1, familyName: 2 } as const
const GENLMSGHDR_BYTES = 4
const ETHTOOL_MSG_FEATURES_SET = 12
const ETHTOOL_A_FEATURES = { header: 1, wanted: 3 } as const
const ETHTOOL_A_HEADER_DEV_NAME = 2
const ETHTOOL_A_BITSET_BITS = 3
const ETHTOOL_A_BITSET_BITS_BIT = 1
const ETHTOOL_A_BITSET_BIT = { name: 2, value: 3 } as const

/** The host's part: a pair whose other end appears in the pod, by its own name. Its answer is the host's end, for {@link readIndex}. */
export function requestPair({ device, ifname, mac, mtu }: PodLink, options: { netnsFd: number; hasIpv6: boolean }) {
  const peer = Buffer.concat([
    formatLink({}),
    attribute(IFLA.ifname, ifname),
    attribute(IFLA.mtu, mtu),
    attribute(IFLA.address, parseMac(mac)),
    attribute(IFLA.netNsFd, options.netnsFd),
  ])
  const pair: NetlinkRequest = {
    what: `add the veth "${device}" and "${ifname}"`,
    type: RTM.newLink,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([
      formatLink({}),
      attribute(IFLA.ifname, device),
      attribute(IFLA.mtu, mtu),
      attribute(IFLA.address, parseMac(GATEWAY_MAC)),
      attribute(IFLA.linkInfo, [
        attribute(IFLA_INFO.kind, 'veth'),
        attribute(IFLA_INFO.data, [attribute(VETH_INFO_PEER, peer)]),
      ]),
    ]),
  }
  return [pair, ...requestUp({ device }, options), requestLink(device)]
}

/** The pod's part: one address, one gateway that answers for everything, and a neighbour that need not be asked for. `index`: of the pod's end. */
export function requestPodSetup(
  { ifname, ip }: PodLink,
  options: { index: number; hasIpv6: boolean },
): NetlinkRequest[] {
  const { index } = options
  const address = parseAddress(ip)
  const gateway = parseAddress(GATEWAY_ADDRESS)
  return [
    ...requestUp({ device: 'lo', index: LOOPBACK_INDEX }, { hasIpv6: false }),
    ...requestUp({ device: ifname, index }, options),
    {
      what: `add the address ${ip}/32 to "${ifname}"`,
      type: RTM.newAddress,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payload: Buffer.concat([
        Buffer.of(AF_INET, 32, 0, RT_SCOPE.universe),
        int32(index),
        attribute(IFA.local, address),
        attribute(IFA.address, address),
      ]),
    },
    requestRoute('the gateway', { length: 32, scope: RT_SCOPE.link }, [
      attribute(RTA.destination, gateway),
      attribute(RTA.outDevice, index),
    ]),
    requestRoute('everything', { length: 0, scope: RT_SCOPE.universe }, [
      attribute(RTA.gateway, gateway),
      attribute(RTA.outDevice, index),
    ]),
    {
      what: `add the gateway as a neighbour of "${ifname}"`,
      type: RTM.newNeighbour,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      payload: Buffer.concat([
        Buffer.of(AF_INET, 0, 0, 0),
        int32(index),
        Buffer.of(NUD_PERMANENT, 0, 0, 0),
        attribute(NDA.destination, gateway),
        attribute(NDA.linkAddress, parseMac(GATEWAY_MAC)),
      ]),
    },
  ]
}

/** Asks for a device; its answer is for {@link readIndex}. */
export function requestLink(device: string): NetlinkRequest {
  return {
    what: `find "${device}"`,
    type: RTM.getLink,
    payload: Buffer.concat([formatLink({}), attribute(IFLA.ifname, device)]),
  }
}

export function readIndex(answer: Buffer): number {
  return answer.readInt32LE(4)
}

export function requestDeletion(device: string): NetlinkRequest {
  return {
    what: `remove "${device}"`,
    type: RTM.deleteLink,
    payload: Buffer.concat([formatLink({}), attribute(IFLA.ifname, device)]),
  }
}

/** Asks generic netlink for the number of the family of device features; its answer is for {@link readFamily}. */
export function requestFamily(): NetlinkRequest {
  return {
    what: 'find the family "ethtool" of generic netlink (CONFIG_ETHTOOL_NETLINK)',
    type: GENL_ID_CTRL,
    payload: Buffer.concat([Buffer.of(CTRL_CMD_GETFAMILY, 1, 0, 0), attribute(CTRL_ATTR.familyName, 'ethtool')]),
  }
}

export function readFamily(answer: Buffer): number {
  return findAttribute(answer.subarray(GENLMSGHDR_BYTES), CTRL_ATTR.familyId)!.readUInt16LE(0)
}

/** Sets {@link POD_FEATURES}. */
export function requestFeatures(ifname: string, family: number): NetlinkRequest {
  const bits = Object.entries(POD_FEATURES).map(([name, isOn]) =>
    attribute(ETHTOOL_A_BITSET_BITS_BIT, [
      attribute(ETHTOOL_A_BITSET_BIT.name, name),
      ...(isOn ? [attribute(ETHTOOL_A_BITSET_BIT.value, Buffer.alloc(0))] : []),
    ]),
  )
  return {
    what: `set features of "${ifname}": ${Object.keys(POD_FEATURES).join(', ')}`,
    type: family,
    payload: Buffer.concat([
      Buffer.of(ETHTOOL_MSG_FEATURES_SET, 1, 0, 0),
      attribute(ETHTOOL_A_FEATURES.header, [attribute(ETHTOOL_A_HEADER_DEV_NAME, ifname)]),
      attribute(ETHTOOL_A_FEATURES.wanted, [attribute(ETHTOOL_A_BITSET_BITS, bits)]),
    ]),
  }
}

/** Without IPv6 in the kernel nobody can say that a device has no address of it. It is said before the device is up. */
function requestUp(
  { device, index = 0 }: { readonly device: string; readonly index?: number },
  { hasIpv6 }: { readonly hasIpv6: boolean },
): NetlinkRequest[] {
  const name = index === 0 ? [attribute(IFLA.ifname, device)] : []
  const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.of(IN6_ADDR_GEN_MODE_NONE))
  const without = attribute(IFLA.afSpec, [attribute(AF_INET6, [mode])])
  return [
    ...(hasIpv6
      ? [
          {
            what: `keep "${device}" without an IPv6 address`,
            type: RTM.newLink,
            payload: Buffer.concat([formatLink({ index }), ...name, without]),
          },
        ]
      : []),
    {
      what: `bring "${device}" up`,
      type: RTM.newLink,
      payload: Buffer.concat([formatLink({ index, isUp: true }), ...name]),
    },
  ]
}

function requestRoute(
  to: string,
  { length, scope }: { readonly length: number; readonly scope: number },
  attributes: readonly Buffer[],
): NetlinkRequest {
  const header = Buffer.of(AF_INET, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0)
  return {
    what: `add the route to ${to}`,
    type: RTM.newRoute,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([header, ...attributes]),
  }
}

/** struct ifinfomsg */
function formatLink({ index = 0, isUp = false }: { readonly index?: number; readonly isUp?: boolean }): Buffer {
  const buffer = Buffer.alloc(IFINFOMSG_BYTES)
  buffer.writeInt32LE(index, 4)
  if (isUp) {
    buffer.writeUInt32LE(IFF_UP, 8)
    buffer.writeUInt32LE(IFF_UP, 12)
  }
  return buffer
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32LE(value)
  return buffer
}

function parseMac(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

function parseAddress(ip: string): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(parseIpv4(ip)!)
  return buffer
}
