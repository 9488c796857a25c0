/** By which keys programs find a frontend, and the bits that spare packets to other addresses the look-up. */
import { SERVICE_FILTER_WORDS, type ServiceFrontendRecord, type ServiceKey } from '../layouts/services.ts'
import { parseIPv4 } from '../layouts/struct.ts'
import type { ServiceFrontend, ServiceProtocol } from './service-tables.ts'

export interface Place {
  /** The key as text: equal keys, equal texts. */
  readonly text: string
  readonly key: ServiceKey
  readonly value: ServiceFrontendRecord
}

/** Numbers of IP protocols (IANA). */
const PROTOCOL_NUMBERS: Readonly<Record<ServiceProtocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 }
const ANY_ADDRESS = '0.0.0.0'
/** Of the host itself and of those outside of the cluster. */
const HOST_VNI = 0

/** Where a frontend stands: for pods of its network, and for this host. A ClusterIP has one place more, which refuses all other ports of it. */
export function planPlaces(frontend: ServiceFrontend, value: ServiceFrontendRecord): Place[] {
  const { vni, ip, port, scope } = frontend
  const protocol = PROTOCOL_NUMBERS[frontend.protocol]
  if (ip === undefined) return [placeAt({ vni: HOST_VNI, ip: ANY_ADDRESS, port, protocol }, value)]
  const exact = [vni, HOST_VNI].map((network) => placeAt({ vni: network, ip, port, protocol }, value))
  if (scope === 'external') return exact
  const others = { ...NO_SERVICE, vni }
  return [...exact, ...[vni, HOST_VNI].map((network) => placeAt({ vni: network, ip, port: 0, protocol: 0 }, others))]
}

const NO_SERVICE: ServiceFrontendRecord = {
  service: 0,
  vni: 0,
  chunk: 0,
  slots: 0,
  externalChunk: 0,
  externalSlots: 0,
  affinity: 0,
  flags: 0,
}

/** A place with its text. */
export function placeAt(key: ServiceKey, value: ServiceFrontendRecord): Place {
  return { text: `${key.vni} ${key.ip} ${key.port} ${key.protocol}`, key, value }
}

export interface Filters {
  readonly addresses: BigUint64Array
  readonly nodePorts: BigUint64Array
}

/** Bits for all frontends. One that is set says "perhaps" of an address and "surely" of a port. */
export function fillFilters(frontends: readonly ServiceFrontend[]): Filters {
  const addresses = new BigUint64Array(SERVICE_FILTER_WORDS)
  const nodePorts = new BigUint64Array(SERVICE_FILTER_WORDS)
  for (const { ip, port } of frontends)
    if (ip === undefined) setBit(nodePorts, port)
    else setBit(addresses, serviceAddressBit(ip))
  return { addresses, nodePorts }
}

export function areSameFilters(a: Filters, b: Filters): boolean {
  const same = (x: BigUint64Array, y: BigUint64Array): boolean => x.every((word, index) => word === y[index])
  return same(a.addresses, b.addresses) && same(a.nodePorts, b.nodePorts)
}

function setBit(words: BigUint64Array, bit: number): void {
  words[bit >> 6] = (words[bit >> 6] ?? 0n) | (1n << BigInt(bit & 63))
}

/** 16 bits: multiplicative hash (Knuth); bpf/service.h has the same. */
export function serviceAddressBit(ip: string): number {
  return Math.imul(parseIPv4(ip), 0x9e3779b1) >>> 16
}
