import { createSeededRandom, type Random } from '@centaurus/base'
import type { Endpoint } from '../dataplane/dataplane.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import { frameSeeds } from './frame-seeds.ts'
import { checksum, GENEVE_PORT } from './frames.ts'
import { allowPorts, DENY_ALL, OPEN, policySet } from './policy-sets.ts'
import { openTestDataplane, type TestDataplane } from './test-dataplane.ts'

/**
 * Frames that are right, nearly right and noise, through the real programs in the kernel, with an oracle for what must not pass. bpf/fuzz tries many more in user
 * space; here are the verifier's programs and the kernel's own helpers.
 */

const VNI = 1
const FRIEND = 258
const NODE_HERE = '192.168.77.1'
const NODE_THERE = '192.168.77.2'
const POD: Endpoint = endpoint(2)
const NEIGHBOUR: Endpoint = endpoint(3)
const UPLINK = 3
/** Shorter ones the kernel does not run programs on. */
const FRAME_BYTES_MIN = 34
const CHANGES_MAX = 4
/** Values that bounds are at. */
const EDGES = [0, 1, 4, 5, 0x3f, 0x45, 0x46, 0x7f, 0x80, 0xff] as const

export interface FrameFuzzOptions {
  readonly seed: number
  readonly frames: number
}

/** Resolves to how many frames passed. Rejects with the first that passed and must not, in hexadecimal. */
export async function fuzzFrames({ seed, frames }: FrameFuzzOptions): Promise<number> {
  const dataplane = await openTestDataplane()
  try {
    fillTables(dataplane)
    const random = createSeededRandom(seed)
    const seeds = { uplink: frameSeeds('uplink'), pod: frameSeeds('pod') }
    let passed = 0
    for (let i = 0; i < frames; i++) {
      const kind = random.integer(2) === 0 ? 'uplink' : 'pod'
      const mutated = mutate(seeds[kind][random.integer(seeds[kind].length)]!, random)
      // a frame with a wrong outer header gets no further, so most get a right one
      const frame = kind === 'uplink' && random.integer(8) > 0 ? withRightHeader(mutated, random) : mutated
      const program = kind === 'pod' ? 'from_pod' : random.integer(2) === 0 ? 'from_uplink' : 'from_uplink_xdp'
      const device = kind === 'pod' ? POD.ifindex : UPLINK
      const { verdict, target } = dataplane.run(program, frame, { ifindex: device })
      // nothing is remembered: else a frame could be an answer to one before it
      for (const table of ['ct', 'fragments']) dataplane.map(table).deleteMany(dataplane.map(table).keys())
      if (verdict !== 'redirect') continue
      passed++
      const fault = kind === 'pod' ? judgePodFrame(frame, target) : judgeUplinkFrame(frame, target)
      if (fault !== undefined)
        throw new Error(`${program} let a frame pass: ${fault} (seed ${seed}, frame ${i})\n${frame.toString('hex')}`)
    }
    return passed
  } finally {
    dataplane.close()
  }
}

function endpoint(last: number): Endpoint {
  const ip = `10.244.1.${last}`
  const at = { vni: VNI, routeDomain: 0, blockPrefix: 24, identity: 256, policySet: 0, shaper: DEFAULT_SHAPER }
  return { ...at, ip, hostIP: ip, mac: `0a:ce:0a:f4:01:0${last}`, ifindex: 10 + last }
}

/** Friends may use TCP 80 and UDP 53 of the pod; its neighbour is open. */
function fillTables({ tables }: TestDataplane): void {
  const list = allowPorts([
    { protocol: 'TCP', firstPort: 80, lastPort: 80 },
    { protocol: 'UDP', firstPort: 53, lastPort: 53 },
  ])
  const friends = policySet({ ingress: { byIdentity: new Map([[FRIEND, list]]), others: DENY_ALL } })
  tables.setNode(NODE_THERE)
  tables.setRoute({ domain: 0, cidr: '10.244.2.0/24', node: NODE_THERE })
  tables.setRoute({ domain: 0, cidr: '10.244.3.0/24', node: '192.168.77.3' })
  tables.setEndpoint({ ...POD, policySet: tables.addPolicySet(friends) })
  tables.setEndpoint({ ...NEIGHBOUR, policySet: tables.addPolicySet(OPEN) })
}

/** Some bytes changed, some frames cut or made longer, some left as they are. */
export function mutate(seed: Buffer, random: Random): Buffer {
  const frame = Buffer.from(seed)
  for (let i = random.integer(CHANGES_MAX); i > 0; i--) {
    const at = random.integer(frame.length)
    frame[at] = random.integer(2) === 0 ? random.integer(256) : EDGES[random.integer(EDGES.length)]!
  }
  const length = random.integer(8)
  if (length === 0) return frame.subarray(0, Math.max(FRAME_BYTES_MIN, random.integer(frame.length)))
  return length === 1 ? Buffer.concat([frame, Buffer.alloc(random.integer(64))]) : frame
}

/** With a right sum in the outer IPv4 header, and right lengths half of the time. */
function withRightHeader(frame: Buffer, random: Random): Buffer {
  const right = Buffer.from(frame)
  const isWhole = right.length >= 14 + 28
  if (isWhole && random.integer(2) === 0) {
    right.writeUInt16BE(right.length - 14, 16)
    right.writeUInt16BE(right.length - 14 - 20, 38)
  }
  right.writeUInt16BE(0, 24)
  right.writeUInt16BE(checksum(right.subarray(14, 34)), 24)
  return right
}

/** Why a frame from the wire must not have gone to `target`. */
function judgeUplinkFrame(frame: Buffer, target: number): string | undefined {
  const outer = frame.subarray(14)
  if (frame.readUInt16BE(12) !== 0x0800 || outer[0] !== 0x45 || outer[9] !== 17) return 'it is no datagram'
  if (checksum(outer.subarray(0, 20)) !== 0) return 'its sum is wrong'
  const length = outer.readUInt16BE(2)
  if (length > outer.length || outer.readUInt16BE(24) !== length - 20) return 'its length is wrong'
  if ((outer.readUInt16BE(6) & 0x3fff) !== 0) return 'it is a fragment of a tunnel'
  if (ipAt(outer, 12) !== NODE_THERE || ipAt(outer, 16) !== NODE_HERE) return 'it is not from node to node'
  if (outer.readUInt16BE(22) !== GENEVE_PORT) return 'its port is not the tunnel’s'
  const optionBytes = (outer[28]! & 63) * 4
  const inner = outer.subarray(36 + optionBytes + 14)
  if (inner.readUInt16BE(2) > length - 36 - optionBytes - 14) return 'what is inside is longer'
  if (!isSourceOfOtherNode(ipAt(inner, 12))) return 'its source is not its node’s to use'
  if (target !== POD.ifindex && target !== NEIGHBOUR.ifindex) return undefined // the host's own matter
  const vni = outer.readUIntBE(32, 3)
  if (vni !== VNI && vni !== 0) return 'its network is another'
  if (ipAt(inner, 16) !== (target === POD.ifindex ? POD.ip : NEIGHBOUR.ip)) return 'it is for another pod'
  if (target === NEIGHBOUR.ifindex) return undefined
  const options = outer.subarray(36, 36 + optionBytes)
  if (!carriesFriend(options)) return 'the identity is no friend’s'
  return undefined
}

/** Not another host's pod, nor this host or its pods, nor what nobody has. */
function isSourceOfOtherNode(ip: string): boolean {
  const first = Number(ip.split('.')[0])
  if (first === 0 || first === 127 || first >= 224) return false
  return ip !== NODE_HERE && !ip.startsWith('10.244.1.') && !ip.startsWith('10.244.3.')
}

/** Whether our option is there, with the friend's number. */
function carriesFriend(options: Buffer): boolean {
  for (let at = 0; at + 8 <= options.length; at += 4 + (options[at + 3]! & 31) * 4)
    if (options.readUInt16BE(at) === 0x0173 && options.readUInt32BE(at + 4) === FRIEND) return true
  return false
}

/** Why a frame of the pod must not have gone to `target`. */
function judgePodFrame(frame: Buffer, target: number): string | undefined {
  if (frame.subarray(6, 12).toString('hex') !== POD.mac.replaceAll(':', '')) return 'its MAC is another'
  if (target === POD.ifindex && frame.readUInt16BE(12) === 0x0806) return undefined
  const packet = frame.subarray(14)
  if (frame.readUInt16BE(12) !== 0x0800 || packet[0] !== 0x45) return 'it is no plain IPv4 packet'
  if (ipAt(packet, 12) !== POD.ip) return 'its source is another'
  if (target === NEIGHBOUR.ifindex && ipAt(packet, 16) !== NEIGHBOUR.ip) return 'it is for another pod'
  return undefined
}

function ipAt(packet: Buffer, offset: number): string {
  return [...packet.subarray(offset, offset + 4)].join('.')
}
