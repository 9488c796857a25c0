import type { BpfMap } from '../kernel/bpf-map.ts'
import { deviceKey, endpoint, ENDPOINT_EGRESS, endpointKey } from '../layouts/layouts.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import type { Endpoint } from './dataplane.ts'

/** Network of the addresses by which a host knows its own pods. */
const HOST_NETWORK = 0

interface EndpointStoreDeps {
  readonly endpoints: BpfMap
  readonly devices: BpfMap
}

/** Pods of this host: by address in their network, by the address that the host knows them by, and by device. */
export class EndpointStore {
  readonly #deps: EndpointStoreDeps
  readonly #byKey = new Map<string, Endpoint>()

  constructor(deps: EndpointStoreDeps) {
    this.#deps = deps
    for (const [key, value] of deps.endpoints.entries()) {
      const known = decodeEndpoint(value)
      if (endpointKey.decode(key).vni !== HOST_NETWORK) this.#byKey.set(keyText(known), known)
    }
  }

  /** Returns what was there. Ways to the pod that are no longer its own are taken away last. */
  set(value: Endpoint): Endpoint | undefined {
    const before = this.#byKey.get(keyText(value))
    const record = endpoint.encode({ ...value, flags: value.hasEgress === true ? ENDPOINT_EGRESS : 0 })
    // what the pod sends is judged by the new state first: its answers then find it too
    this.#deps.devices.set(deviceKey.encode(value), record)
    this.#deps.endpoints.set(endpointKey.encode(value), record)
    this.#deps.endpoints.set(endpointKey.encode({ vni: HOST_NETWORK, ip: value.hostIP }), record)
    this.#byKey.set(keyText(value), value)
    if (before !== undefined && before.ifindex !== value.ifindex) this.#removeDevice(before)
    if (before !== undefined && before.hostIP !== value.hostIP) this.#removeHostAddress(before)
    return before
  }

  /** Returns what was there. */
  remove(key: Pick<Endpoint, 'vni' | 'ip'>): Endpoint | undefined {
    const before = this.#byKey.get(keyText(key))
    this.#deps.endpoints.delete(endpointKey.encode(key))
    if (before === undefined) return undefined
    this.#removeHostAddress(before)
    this.#removeDevice(before)
    this.#byKey.delete(keyText(key))
    return before
  }

  list(): Endpoint[] {
    return [...this.#byKey.values()]
  }

  usesSet(id: number): boolean {
    return this.list().some(({ policySet }) => policySet === id)
  }

  /** Another pod may have got the address, or the number of the device, meanwhile. */
  #removeHostAddress({ hostIP, vni, ip }: Endpoint): void {
    const key = endpointKey.encode({ vni: HOST_NETWORK, ip: hostIP })
    this.#removeIfOwn(this.#deps.endpoints, key, { vni, ip })
  }

  #removeDevice({ ifindex, vni, ip }: Endpoint): void {
    this.#removeIfOwn(this.#deps.devices, deviceKey.encode({ ifindex }), { vni, ip })
  }

  #removeIfOwn(map: BpfMap, key: Uint8Array, owner: Pick<Endpoint, 'vni' | 'ip'>): void {
    const value = map.get(key)
    if (value !== undefined && keyText(endpoint.decode(value)) === keyText(owner)) map.delete(key)
  }
}

function decodeEndpoint(record: Uint8Array): Endpoint {
  const { flags, shaper, ...known } = endpoint.decode(record)
  // versions before shapers wrote none
  return { ...known, shaper: shaper || DEFAULT_SHAPER, ...((flags & ENDPOINT_EGRESS) === 0 ? {} : { hasEgress: true }) }
}

function keyText({ vni, ip }: Pick<Endpoint, 'vni' | 'ip'>): string {
  return `${vni} ${ip}`
}
