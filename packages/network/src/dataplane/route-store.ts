import type { BpfMap } from '../kernel/bpf-map.ts'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import { network, networkKey, route, routeKey, type NetworkRecord } from '../layouts/layouts.ts'
import { formatIPv4, parseIPv4 } from '../layouts/struct.ts'
import type { Route } from './dataplane.ts'
import type { HostState } from './host-state.ts'

interface RouteStoreDeps {
  readonly routes: BpfMap
  readonly networks: BpfMap
  readonly state: HostState
}

/** Which node has a block of addresses. All blocks of a domain have one length, so that a program finds the block of an address without a search. */
export class RouteStore {
  readonly #deps: RouteStoreDeps
  readonly #routes = new Map<string, Route>()
  /** By domain. */
  readonly #counts = new Map<number, number>()

  /** Takes over what is in the tables. */
  constructor(deps: RouteStoreDeps) {
    this.#deps = deps
    for (const [key, value] of deps.routes.entries()) {
      const { domain, block } = routeKey.decode(key)
      const { node, ifindex } = route.decode(value)
      const cidr = `${block}/${this.#prefixOf(domain) ?? 32}`
      this.#keep({ domain, cidr, node, ...(ifindex === 0 ? {} : { uplink: ifindex }) })
    }
  }

  set(value: Route): void {
    const { domain, cidr, node, uplink } = value
    const { block, prefix } = parseBlock(cidr)
    const known = this.#prefixOf(domain)
    if (known !== undefined && known !== prefix && this.#counts.has(domain))
      throw new DataplaneError(`Cannot set route ${cidr}: other blocks of its network have length ${known}`)
    if (known !== prefix) this.#setPrefix(domain, prefix)
    this.#deps.routes.set(routeKey.encode({ domain, block }), route.encode({ node, ifindex: uplink ?? 0 }))
    this.#keep({ ...value, cidr: `${block}/${prefix}` })
  }

  remove({ domain, cidr }: Pick<Route, 'domain' | 'cidr'>): void {
    const { block, prefix } = parseBlock(cidr)
    this.#deps.routes.delete(routeKey.encode({ domain, block }))
    if (!this.#routes.delete(keyText({ domain, cidr: `${block}/${prefix}` }))) return
    const left = (this.#counts.get(domain) ?? 0) - 1
    if (left > 0) {
      this.#counts.set(domain, left)
      return
    }
    this.#counts.delete(domain)
    if (domain !== 0) this.#setPrefix(domain, 0)
  }

  list(): Route[] {
    return [...this.#routes.values()]
  }

  #keep(value: Route): void {
    const key = keyText(value)
    if (!this.#routes.has(key)) this.#counts.set(value.domain, (this.#counts.get(value.domain) ?? 0) + 1)
    this.#routes.set(key, value)
  }

  setNetwork({ vni, cidr }: { readonly vni: number; readonly cidr: string }): void {
    const { block, prefix } = parseBlock(cidr)
    this.#writeNetwork(vni, { ...this.#readNetwork(vni), ip: block, prefix })
  }

  removeNetwork(vni: number): void {
    this.#writeNetwork(vni, { ...this.#readNetwork(vni), ip: UNKNOWN.ip, prefix: 0 })
  }

  listNetworks(): { vni: number; cidr: string }[] {
    return this.#deps.networks.entries().flatMap(([key, value]) => {
      const { ip, prefix } = network.decode(value)
      return prefix === 0 ? [] : [{ vni: networkKey.decode(key).vni, cidr: `${ip}/${prefix}` }]
    })
  }

  #prefixOf(domain: number): number | undefined {
    const { blockPrefix } = domain === 0 ? this.#deps.state.readConfig() : this.#readNetwork(domain)
    return blockPrefix === 0 ? undefined : blockPrefix
  }

  #setPrefix(domain: number, blockPrefix: number): void {
    if (domain === 0) this.#deps.state.writeConfig({ ...this.#deps.state.readConfig(), blockPrefix })
    else this.#writeNetwork(domain, { ...this.#readNetwork(domain), blockPrefix })
  }

  #readNetwork(vni: number): NetworkRecord {
    const value = this.#deps.networks.get(networkKey.encode({ vni }))
    return value === undefined ? UNKNOWN : network.decode(value)
  }

  #writeNetwork(vni: number, value: NetworkRecord): void {
    const key = networkKey.encode({ vni })
    if (value.blockPrefix === 0 && value.prefix === 0) this.#deps.networks.delete(key)
    else this.#deps.networks.set(key, network.encode(value))
  }
}

const UNKNOWN: NetworkRecord = { ip: '0.0.0.0', blockPrefix: 0, prefix: 0 }

function keyText({ domain, cidr }: Pick<Route, 'domain' | 'cidr'>): string {
  return `${domain} ${cidr}`
}

function parseBlock(cidr: string): { block: string; prefix: number } {
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(cidr)
  const prefix = Number(match?.[2])
  if (match === null || prefix < 1 || prefix > 32)
    throw new DataplaneError(`A block of addresses must look like 10.244.3.0/24: ${cidr}`)
  const address = parseIPv4(match[1]!)
  return { block: formatIPv4((address & (-1 << (32 - prefix))) >>> 0), prefix }
}
