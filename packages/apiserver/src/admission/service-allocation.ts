/**
 * Gives Services their addresses and node ports. What is taken stands in the store, under keys of `system` since the partition has one
 * network for all tenants: an IPAddress object for each address and a key for each port, put in the same commit as the Service and
 * only if absent. So two Services never get the same one, whosever they are, whatever runs at the same time and whatever crashes, and
 * nothing has to be repaired. A tenant sees IPAddresses of its own Services, which are copies.
 * Messages: kubernetes pkg/registry/core/service/storage/alloc.go, ipallocator and portallocator, v1.37.
 */
import { randomUUID } from 'node:crypto'
import {
  FieldPath,
  formatTime,
  invalid,
  invalidObject,
  qualifyName,
  SYSTEM_TENANT,
  type FieldError,
  type KubeObject,
} from '@centaurus/api'
import { services, type Service, type ServicePort, type ServiceSpec } from '@centaurus/api/core/v1'
import type { IPAddressSpec } from '@centaurus/api/networking/v1'
import { formatIpv4, parseIpv4 } from '@centaurus/base'
import type { Change, Comparison } from '@centaurus/store'
import { encodeExact, encodeStored } from '../storage/encoding.ts'
import { resourcePrefix } from '../storage/keys.ts'
import type { AdmissionContext, AdmissionStep, AdmittedWrite, Reservation } from './admission.ts'
import { isUsable, parseIpRange, staticCount, type IpRange } from './ip-range.ts'
import {
  BORROWED_PORTS_PREFIX,
  borrowedRevision,
  countPorts,
  isInRanges,
  needsHealthPort,
  needsNodePorts,
  NODE_PORT_RANGE,
  NODE_PORTS_PREFIX,
  portsFrom,
  portsOf,
  portsUnavailable,
  preparePorts,
  readHolder,
  WHOLE_POOL,
  type NodePortHolder,
  type NodePortPool,
} from './node-ports.ts'
import { isWriteTo } from './refuse.ts'

export interface ServiceAllocationOptions {
  /** CIDR; default `10.96.0.0/16`. */
  readonly serviceRange?: string | undefined
  /** Node ports to give out; default: all of 30000–32767. */
  readonly nodePorts?: NodePortPool | undefined
}

export const DEFAULT_SERVICE_RANGE = '10.96.0.0/16'

interface Pools {
  readonly addresses: IpRange
  readonly ports: NodePortPool
}

export function createServiceAllocation(options: ServiceAllocationOptions): AdmissionStep {
  const pools: Pools = {
    addresses: parseIpRange(options.serviceRange ?? DEFAULT_SERVICE_RANGE),
    ports: options.nodePorts ?? WHOLE_POOL,
  }
  return {
    name: 'ServiceAllocation',
    handles: (write) => isWriteTo(write, services),
    ready: (write, { cache }) => preparePorts(write, cache, pools.ports),
    reserve: (write, context) => new Allocation(write, context, pools).reserve(),
  }
}

/** One attempt to find what one write needs. */
class Allocation {
  readonly #write: AdmittedWrite
  readonly #context: AdmissionContext
  readonly #pools: Pools
  readonly #errors: FieldError[] = []
  readonly #compare: Comparison[] = []
  readonly #changes: Change[] = []

  constructor(write: AdmittedWrite, context: AdmissionContext, pools: Pools) {
    this.#write = write
    this.#context = context
    this.#pools = pools
  }

  reserve(): Reservation {
    const { operation, draft, old } = this.#write
    const next = operation === 'delete' ? undefined : (draft as Service)
    const before = old as Service | undefined
    if (next !== undefined) {
      next.spec = { ...next.spec } // the draft may share its spec with the stored object
      this.#assignAddress(next.spec, before?.spec)
      this.#assignPorts(next.spec, before?.spec)
    }
    this.#release(before?.spec, next?.spec)
    if (this.#errors.length > 0) {
      throw invalidObject({ group: '', kind: 'Service' }, draft.metadata.name ?? '', this.#errors)
    }
    return { compare: this.#compare, changes: this.#changes }
  }

  #assignAddress(spec: ServiceSpec, before: ServiceSpec | undefined): void {
    if (spec.type === 'ExternalName') return
    if (!this.#checkFamilies(spec)) return
    const given = spec.clusterIP ?? spec.clusterIPs?.[0] ?? ''
    const isHeadless = given === 'None'
    const hasBothFamilies = isHeadless && spec.selector === undefined
    spec.ipFamilies ??= hasBothFamilies ? ['IPv4', 'IPv6'] : ['IPv4']
    spec.ipFamilyPolicy ??= hasBothFamilies ? 'RequireDualStack' : 'SingleStack'
    if (isHeadless) {
      spec.clusterIP = 'None'
      spec.clusterIPs = ['None']
      return
    }
    if (given !== '' && given === before?.clusterIP) {
      spec.clusterIP = given
      spec.clusterIPs ??= [given]
      return
    }
    const address = given === '' ? this.#freeAddress() : this.#claimAddress(given)
    if (address === undefined) return
    spec.clusterIP = address
    spec.clusterIPs = [address]
    this.#takeAddress(address)
  }

  /** This cluster's Services are IPv4. */
  #checkFamilies(spec: ServiceSpec): boolean {
    const path = new FieldPath('spec')
    if (spec.clusterIP === 'None') return true
    if (spec.ipFamilyPolicy === 'RequireDualStack') {
      const detail = 'this cluster is not configured for dual-stack services'
      this.#errors.push(invalid(path.child('ipFamilyPolicy'), spec.ipFamilyPolicy, detail))
      return false
    }
    const at = (spec.ipFamilies ?? []).findIndex((family) => family !== 'IPv4')
    if (at < 0) return true
    const family = spec.ipFamilies![at]
    this.#errors.push(invalid(path.child('ipFamilies').index(at), family, 'not configured on this cluster'))
    return false
  }

  #claimAddress(text: string): string | undefined {
    const { addresses } = this.#pools
    const value = parseIpv4(text)
    let why: string | undefined
    if (value === undefined || !isUsable(addresses, value)) {
      why = `the provided IP (${text}) is not in the valid range. The range of valid IPs is ${addresses.text}`
    } else if (this.#isTaken(addressKey(SYSTEM_TENANT, text))) why = 'provided IP is already allocated'
    if (why === undefined) return text
    const path = new FieldPath('spec').child('clusterIPs')
    this.#errors.push(invalid(path, [text], `failed to allocate IP ${text}: ${why}`))
    return undefined
  }

  /** A random free address, from the part of the range that nobody names by hand as long as there is one. */
  #freeAddress(): string | undefined {
    const { addresses } = this.#pools
    const reserved = staticCount(addresses)
    const found =
      this.#search(addresses.first + reserved, addresses.size - reserved) ?? this.#search(addresses.first, reserved)
    if (found !== undefined) return found
    const path = new FieldPath('spec').child('clusterIPs')
    this.#errors.push(invalid(path, [], 'failed to allocate a serviceIP: range is full'))
    return undefined
  }

  #search(first: number, count: number): string | undefined {
    const start = count === 0 ? 0 : this.#context.random.integer(count)
    for (let i = 0; i < count; i++) {
      const address = first + ((start + i) % count)
      if (!isUsable(this.#pools.addresses, address)) continue
      const text = formatIpv4(address)
      if (!this.#isTaken(addressKey(SYSTEM_TENANT, text))) return text
    }
    return undefined
  }

  #assignPorts(spec: ServiceSpec, before: ServiceSpec | undefined): void {
    const wantsPorts = needsNodePorts(spec)
    const had = portsOf(before)
    const mine = new Set<number>()
    spec.ports = spec.ports?.map((port, i) => {
      const path = new FieldPath('spec').child('ports').index(i).child('nodePort')
      const given = port.nodePort ?? 0
      if (given !== 0) {
        this.#claimPort(given, { path, had, mine })
        return port
      }
      if (!wantsPorts) return port
      return { ...port, nodePort: this.#siblingPort(spec.ports!, i, mine) ?? this.#freePort(path, mine) }
    })
    const path = new FieldPath('spec').child('healthCheckNodePort')
    if ((spec.healthCheckNodePort ?? 0) !== 0) this.#claimPort(spec.healthCheckNodePort!, { path, had, mine })
    else if (needsHealthPort(spec)) spec.healthCheckNodePort = this.#freePort(path, mine)
  }

  /** Ports of one number and different protocols, such as DNS, share a node port. */
  #siblingPort(ports: readonly ServicePort[], at: number, mine: ReadonlySet<number>): number | undefined {
    const { port, protocol } = ports[at]!
    const sibling = ports.find(
      (other, i) => i !== at && other.port === port && other.protocol !== protocol && mine.has(other.nodePort ?? 0),
    )
    return sibling?.nodePort
  }

  #claimPort(
    port: number,
    { path, had, mine }: { path: FieldPath; had: ReadonlySet<number>; mine: Set<number> },
  ): void {
    const { first, last } = NODE_PORT_RANGE
    if (mine.has(port) || had.has(port)) {
      mine.add(port)
      return
    }
    if (port < first || port > last) {
      const detail = `provided port is not in the valid range. The range of valid ports is ${first}-${last}`
      this.#errors.push(invalid(path, port, detail))
    } else if (this.#isTaken(portKey(port)) || !this.#mayGive(port)) {
      this.#errors.push(invalid(path, port, 'provided port is already allocated'))
    } else this.#takePort(port, mine)
  }

  /** A port of another partition may be used as long as the record stands that it was borrowed. */
  #mayGive(port: number): boolean {
    if (isInRanges(port, this.#pools.ports.ranges())) return true
    const modRevision = borrowedRevision(this.#context.cache, port)
    if (modRevision === undefined) return false
    this.#compare.push({ key: BORROWED_PORTS_PREFIX + String(port), modRevision })
    return true
  }

  #freePort(path: FieldPath, mine: Set<number>): number | undefined {
    const ranges = this.#pools.ports.ranges()
    const count = countPorts(ranges)
    const start = count === 0 ? 0 : this.#context.random.integer(count)
    for (const port of portsFrom(ranges, start)) {
      if (mine.has(port) || this.#isTaken(portKey(port))) continue
      this.#takePort(port, mine)
      return port
    }
    if (!this.#pools.ports.isFull) throw portsUnavailable()
    this.#errors.push(invalid(path, 0, 'failed to allocate a nodePort: range is full'))
    return undefined
  }

  #takePort(port: number, mine: Set<number>): void {
    mine.add(port)
    this.#take(portKey(port), encodeExact(JSON.stringify({ service: this.#owner } satisfies NodePortHolder)))
  }

  /** How the Service is called where all tenants' ports stand. */
  get #owner(): string {
    const { namespace = '', name } = this.#write.draft.metadata
    return `${qualifyName(namespace, this.#write.request.target.tenant)}/${name}`
  }

  /** A Service that has come from another partition may have a port that is another's here. */
  #isMine(port: number): boolean {
    return readHolder(this.#context.cache, port)?.service === this.#owner
  }

  /** Gives back what the Service had and has no more. */
  #release(before: ServiceSpec | undefined, next: ServiceSpec | undefined): void {
    const kept = portsOf(next)
    for (const port of portsOf(before)) if (!kept.has(port) && this.#isMine(port)) this.#giveBack(portKey(port))
    const address = addressOf(before)
    if (address === undefined || address === addressOf(next)) return
    this.#giveBack(addressKey(SYSTEM_TENANT, address))
    if (!this.#isOfSystem) this.#giveBack(addressKey(this.#write.request.target.tenant, address))
  }

  get #isOfSystem(): boolean {
    return this.#write.request.target.tenant === SYSTEM_TENANT
  }

  #takeAddress(address: string): void {
    const { tenant } = this.#write.request.target
    const { namespace = '', name = '' } = this.#write.draft.metadata
    const value = this.#addressValue(address, { namespace: qualifyName(namespace, tenant), name })
    this.#take(addressKey(SYSTEM_TENANT, address), value)
    if (this.#isOfSystem) return
    const copy = this.#addressValue(address, { namespace, name })
    this.#changes.push({ type: 'put', key: addressKey(tenant, address), value: copy })
  }

  #take(key: string, value: Uint8Array): void {
    this.#compare.push({ key, modRevision: 0 })
    this.#changes.push({ type: 'put', key, value })
  }

  #giveBack(key: string): void {
    this.#changes.push({ type: 'delete', key })
  }

  #isTaken(key: string): boolean {
    const slash = key.lastIndexOf('/') + 1
    return this.#context.cache.resource(key.slice(0, slash)).get(key.slice(slash)) !== undefined
  }

  /** Source: kubernetes pkg/registry/core/service/ipallocator/ipallocator.go newIPAddress, v1.37. */
  #addressValue(address: string, owner: { readonly namespace: string; readonly name: string }): Uint8Array {
    const ipAddress: KubeObject & { spec: IPAddressSpec } = {
      kind: 'IPAddress',
      apiVersion: 'networking.k8s.io/v1',
      metadata: {
        name: address,
        uid: randomUUID(),
        creationTimestamp: formatTime(this.#context.clock.now()),
        labels: {
          'ipaddress.kubernetes.io/ip-family': 'IPv4',
          'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
        },
      },
      spec: { parentRef: { group: '', resource: 'services', ...owner } },
    }
    return encodeStored(ipAddress)
  }
}

function portKey(port: number): string {
  return `${NODE_PORTS_PREFIX}${port}`
}

function addressKey(tenant: string, address: string): string {
  return resourcePrefix(tenant, { keyGroup: 'networking.k8s.io', resource: 'ipaddresses' }) + address
}

/** The address that a Service has or asks for; undefined for those without one of their own. */
export function addressOf(spec: ServiceSpec | undefined): string | undefined {
  if (spec === undefined || spec.type === 'ExternalName') return undefined
  const address = spec.clusterIP ?? ''
  return address === '' || address === 'None' ? undefined : address
}
