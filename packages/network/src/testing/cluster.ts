import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDataplane, type DataplaneOptions } from '../dataplane/create-dataplane.ts'
import type { Dataplane, Endpoint } from '../dataplane/dataplane.ts'
import { HOST_DEVICE } from '../host/host-plan.ts'
import { hostAddressOf } from '../ipam/address-blocks.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { layoutVersion } from '../layouts/render.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import {
  addHostDevice,
  createBareHost,
  createCabledHosts,
  createHostsOn,
  createPodDevice,
  createWire,
  type HostPlan,
  planHost,
  type PodDevice,
  type Wire,
} from './hosts.ts'
import type { NetworkNamespace } from './network-namespace.ts'
import { OPEN } from './policy-sets.ts'
import { EchoServer, type ServedPort } from './reachability.ts'

/** Hosts with the real data plane, each in a network namespace, and pods on them. What a daemon would do, tests do by hand. */

/** Compiled once for all tests with the same sources. */
const PROGRAMS = join(tmpdir(), 'centaurus-test-programs')
const VNI_DEFAULT = 1
const NODE_BLOCK_PREFIX = 24
/** Blocks of networks with addresses of their own. */
const OWN_BLOCK_PREFIX = 26

/** Folder of the programs' objects; compiled when nobody has yet. */
export function buildTestPrograms(): Promise<string> {
  return buildPrograms({ outDir: PROGRAMS })
}

export type AttachMode = 'tcx' | 'xdp'

export interface ClusterOptions {
  readonly hosts: number
  readonly attach: AttachMode
  readonly mtu?: number
  /** Before the names of all namespaces. */
  readonly prefix?: string
  /** Two hosts on one cable instead of a switch; then there is no world. */
  readonly isCabled?: boolean
  /** Devices of this namespace, one a host, instead of veths: they are joined already. There is no world either. */
  readonly uplinks?: readonly string[]
  /** Folder of the programs' objects, where there is no compiler; default: built once for all tests. */
  readonly programs?: string
}

export interface PodOptions {
  readonly name: string
  /** From 1 on. */
  readonly host: number
  readonly identity: number
  /** Default: the next address of the host. */
  readonly ip?: string
  /** Networks from 2 on have addresses of their own, which may be equal to any other's. */
  readonly vni?: number
  /** Of a network from 2 on: its addresses are the hosts', as a tenant's default network has them. */
  readonly sharesHostAddresses?: boolean
  readonly policySet?: PolicySet
  /** See {@link Endpoint.hasEgress}. */
  readonly hasEgress?: boolean
  readonly ports?: readonly ServedPort[]
  /** False: no policy set yet, as in the middle of CNI ADD. */
  readonly isReady?: boolean
}

export interface TestPod extends PodDevice {
  readonly name: string
  readonly host: TestHost
  readonly endpoint: Endpoint
  readonly server: EchoServer
}

/** One host: its namespace, and the data plane that a daemon has open. */
export interface TestHost {
  readonly plan: HostPlan
  readonly namespace: NetworkNamespace
  dataplane: Dataplane
}

export class TestCluster {
  readonly hosts: readonly TestHost[]
  readonly #wire: Wire | undefined
  /** Folder of the programs' objects. */
  readonly programs: string
  readonly #options: ClusterOptions
  readonly #directory: string
  readonly #pods = new Map<string, TestPod>()
  readonly #addresses = new Map<string, number>()
  readonly #blocks = new Set<string>()

  private constructor(options: ClusterOptions, { programs, directory }: { programs: string; directory: string }) {
    const { mtu = 1500, prefix = '' } = options
    this.#options = options
    this.#directory = directory
    this.programs = programs
    const wiring = { mtu, prefix }
    const plans = Array.from({ length: options.hosts }, (_, index) => planHost(index + 1, wiring))
    const wire = options.isCabled === true || options.uplinks !== undefined ? undefined : createWire(wiring)
    this.#wire = wire
    const namespaces =
      wire !== undefined
        ? plans.map((plan) => createBareHost(wire, plan))
        : options.uplinks !== undefined
          ? createHostsOn(options.uplinks, plans)
          : createCabledHosts([plans[0]!, plans[1]!], wiring)
    this.hosts = plans.map((plan, index) => {
      const namespace = namespaces[index]!
      addHostDevice(namespace, plan)
      if (options.attach === 'xdp' && options.uplinks === undefined) finishFrames(namespace)
      return { plan, namespace, dataplane: this.#openDataplane(plan, namespace) }
    })
    for (const host of this.hosts) for (const peer of this.hosts) if (peer !== host) this.#join(host, peer)
  }

  /** Builds the programs, if nobody has yet, and starts every host. */
  static async create(options: ClusterOptions): Promise<TestCluster> {
    const programs = options.programs ?? (await buildTestPrograms())
    return new TestCluster(options, { programs, directory: mkdtempSync('/run/centaurus-hosts-') })
  }

  /** Folder where a host's tables are pinned. */
  tables({ plan }: Pick<TestHost, 'plan'>): string {
    return join(this.#directory, plan.name, 'centaurus', `v${layoutVersion()}`, 'maps')
  }

  /** For whoever opens a host's data plane. */
  optionsOf(plan: HostPlan, namespace: NetworkNamespace): DataplaneOptions {
    return {
      programs: this.programs,
      bpffs: join(this.#directory, plan.name),
      nodeIP: plan.address,
      hostDevice: { ifindex: namespace.ifindex(HOST_DEVICE), address: hostAddressOf(plan.podCIDR) },
      uplinks: [{ ifindex: namespace.ifindex('eth0') }],
      podMtu: plan.podMtu,
      attach: this.#options.attach,
    }
  }

  #openDataplane(plan: HostPlan, namespace: NetworkNamespace): Dataplane {
    const options = this.optionsOf(plan, namespace)
    mkdirSync(options.bpffs, { recursive: true })
    return namespace.run(() => createDataplane(options))
  }

  #join(host: TestHost, peer: TestHost): void {
    this.on(host, (dataplane) => {
      dataplane.setNode(peer.plan.address)
      dataplane.setRoute({ domain: 0, cidr: peer.plan.podCIDR, node: peer.plan.address })
    })
  }

  /** Calls a host's data plane, in the host's namespace. */
  on<Result>(host: TestHost, action: (dataplane: Dataplane) => Result): Result {
    return host.namespace.run(() => action(host.dataplane))
  }

  /** Between the hosts, and what stands for the world. */
  get wire(): NetworkNamespace {
    if (this.#wire === undefined) throw new Error('Cabled hosts have no switch')
    return this.#wire.namespace
  }

  host(index: number): TestHost {
    const host = this.hosts[index - 1]
    if (host === undefined) throw new Error(`There is no host ${index}`)
    return host
  }

  pod(name: string): TestPod {
    const pod = this.#pods.get(name)
    if (pod === undefined) throw new Error(`There is no pod ${name}`)
    return pod
  }

  get pods(): readonly TestPod[] {
    return [...this.#pods.values()]
  }

  /** As the CNI plugin would: device, endpoint, policy set, program, and only then the pod may begin. */
  addPod(options: PodOptions): TestPod {
    const { name, identity, vni = VNI_DEFAULT, policySet = OPEN, ports = [], isReady = true } = options
    const host = this.host(options.host)
    const ownAddresses = vni !== VNI_DEFAULT && options.sharesHostAddresses !== true
    const ip = options.ip ?? this.#nextAddress(host.plan.podCIDR)
    const hostIP = ownAddresses ? this.#nextAddress(`100.64.${options.host}.0/24`) : ip
    const device = createPodDevice(host.namespace, { name: this.namespaceName(name), ip }, host.plan.podMtu)
    const endpoint = this.on(host, (dataplane) => {
      const made: Endpoint = {
        vni,
        ip,
        hostIP,
        mac: device.mac,
        ifindex: device.ifindex,
        identity,
        policySet: isReady ? dataplane.addPolicySet(policySet) : 0,
        routeDomain: ownAddresses ? vni : 0,
        blockPrefix: ownAddresses ? OWN_BLOCK_PREFIX : NODE_BLOCK_PREFIX,
        shaper: DEFAULT_SHAPER,
        ...(options.hasEgress === true ? { hasEgress: true } : {}),
      }
      dataplane.addIdentities(vni, [identity])
      dataplane.setEndpoint(made)
      dataplane.attachPod(device.ifindex)
      return made
    })
    if (ownAddresses) this.#routeBlock(host, { vni, ip })
    const pod = { ...device, name, host, endpoint, server: new EchoServer(device.namespace, ports) }
    this.#pods.set(name, pod)
    return pod
  }

  namespaceName(pod: string): string {
    return `${this.#options.prefix ?? ''}${pod}`
  }

  /** Other hosts learn where a block of a network with its own addresses is, once. */
  #routeBlock(host: TestHost, { vni, ip }: { readonly vni: number; readonly ip: string }): void {
    const bytes = ip.split('.').map(Number)
    const cidr = `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]! & 0xc0}/${OWN_BLOCK_PREFIX}`
    if (this.#blocks.has(`${vni} ${cidr}`)) return
    this.#blocks.add(`${vni} ${cidr}`)
    for (const peer of this.hosts)
      if (peer !== host)
        this.on(peer, (dataplane) => dataplane.setRoute({ domain: vni, cidr, node: host.plan.address }))
  }

  removePod(name: string): void {
    const { endpoint, host, namespace, server } = this.pod(name)
    this.on(host, (dataplane) => dataplane.removeEndpoint(endpoint))
    server.close()
    namespace.close()
    this.#pods.delete(name)
  }

  /** Gives a pod another policy set at once. The old one goes when no pod uses it any more. */
  setPolicySet(name: string, set: PolicySet): void {
    const pod = this.pod(name)
    const old = pod.endpoint.policySet
    const endpoint = this.on(pod.host, (dataplane) => {
      const changed = { ...pod.endpoint, policySet: dataplane.addPolicySet(set) }
      dataplane.setEndpoint(changed)
      return changed
    })
    this.#pods.set(name, { ...pod, endpoint })
    if (old === 0) return
    const isUsed = this.pods.some(({ host, endpoint: { policySet } }) => host === pod.host && policySet === old)
    if (!isUsed) this.on(pod.host, (dataplane) => dataplane.removePolicySet(old))
  }

  setIdentity(name: string, identity: number): void {
    const pod = this.pod(name)
    const endpoint = { ...pod.endpoint, identity }
    this.on(pod.host, (dataplane) => dataplane.setEndpoint(endpoint))
    this.#pods.set(name, { ...pod, endpoint })
  }

  /** Whether what the pod sends to the world leaves by its network's egress. */
  setHasEgress(name: string, { hasEgress }: { readonly hasEgress: boolean }): void {
    const pod = this.pod(name)
    const endpoint = { ...pod.endpoint, hasEgress }
    this.on(pod.host, (dataplane) => dataplane.setEndpoint(endpoint))
    this.#pods.set(name, { ...pod, endpoint })
  }

  /** The daemon ends and another one takes over what it left. */
  restartDaemon(host: TestHost): void {
    this.on(host, (dataplane) => dataplane.close())
    host.dataplane = this.#openDataplane(host.plan, host.namespace)
  }

  #nextAddress(cidr: string): string {
    const next = (this.#addresses.get(cidr) ?? FIRST_POD_ADDRESS) + 1
    this.#addresses.set(cidr, next)
    return cidr.replace(/0\/24$/, String(next - 1))
  }

  close(): void {
    for (const name of this.#pods.keys()) this.removePod(name)
    for (const host of this.hosts) {
      this.on(host, (dataplane) => dataplane.remove())
      host.namespace.close()
    }
    this.#wire?.namespace.close()
  }
}

/**
 * Frames of a real wire are whole: each has its checksums, and is no longer than the MTU. A veth hands over what its sender left to do, which XDP has no place to
 * keep, so the sender's device must leave nothing.
 */
function finishFrames(host: NetworkNamespace): void {
  const off = ['tx', 'tso', 'gso', 'tx-udp_tnl-segmentation', 'tx-udp_tnl-csum-segmentation']
  host.exec(['ethtool', '-K', 'eth0', ...off.flatMap((feature) => [feature, 'off'])])
}

/** The first one is the host's own. */
const FIRST_POD_ADDRESS = 2
