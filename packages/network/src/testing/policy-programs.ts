import type { Endpoint } from '../dataplane/dataplane.ts'
import {
  judgeEgressOutside,
  judgeEgressToPod,
  judgeIngress,
  judgePeerEgress,
  type FlowStart,
} from '../policy/evaluate.ts'
import { LocalSets } from '../policy/local-sets.ts'
import type { PolicySet, RuleId } from '../policy/policy-set.ts'
import { PolicyWorld } from '../policy/policy-world.ts'
import { RuleBook } from '../policy/rule-book.ts'
import { WORLD_IDENTITY, type IdentitySpec } from '../policy/identity-table.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import {
  ethernet,
  geneve,
  GENEVE_PORT,
  icmpEcho,
  identityOption,
  ipBytes,
  ipv4,
  PROTOCOL_NUMBERS,
  sctpInit,
  tcp,
  udp,
} from './frames.ts'
import { findKeys, identifyPods, podKey } from './policy-identities.ts'
import type { OraclePod, OracleWorld, Traffic } from './policy-oracle.ts'
import { TEST_HOST, type TestDataplane, type TestVerdict } from './test-dataplane.ts'

const GATEWAY_MAC = '02:ce:47:00:00:01'
const OTHER_NODE = '192.168.77.2'
const UPLINK = TEST_HOST.uplinks[0]!.ifindex
const FIRST_DEVICE = 1000
const SOURCE_PORT = 33_333
const NAMESPACE_BLOCKS = ['10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/24']

/** How a cell is asked of the programs. */
export type ProgramPath = 'from_pod' | 'from_host' | 'from_uplink' | 'from_uplink_xdp'

export interface Said {
  readonly reason: string
  readonly rule: RuleId
}

export interface ProgramWorldOptions {
  readonly vni: number
  /** Block of pods that are on the other node; the others are on this one. */
  readonly remoteBlock: number
}

/** A generated world in the tables of one host, while other pods are on another node. Change by change: half of the objects come when the sets are in use. */
export class ProgramWorld {
  readonly rules = new RuleBook()
  readonly sets: ReadonlyMap<string, PolicySet>
  readonly #world = new PolicyWorld({ tenant: 'test', rules: this.rules })
  readonly #local = new LocalSets(this.#world)
  readonly #dataplane: TestDataplane
  readonly #oracle: OracleWorld
  readonly #vni: number
  readonly #remoteBlock: number
  readonly #identities: ReadonlyMap<string, IdentitySpec>
  readonly #setIds = new Map<string, number>()
  readonly #endpoints = new Map<string, Endpoint>()

  constructor(dataplane: TestDataplane, oracle: OracleWorld, { vni, remoteBlock }: ProgramWorldOptions) {
    this.#dataplane = dataplane
    this.#oracle = oracle
    this.#vni = vni
    this.#remoteBlock = remoteBlock
    this.#identities = identifyPods(oracle.pods, findKeys(oracle))
    const { tables } = dataplane
    tables.setNode(OTHER_NODE)
    for (const [i, cidr] of NAMESPACE_BLOCKS.entries()) {
      if (i === remoteBlock) tables.setRoute({ domain: 0, cidr, node: OTHER_NODE })
      else tables.removeRoute({ domain: 0, cidr })
    }
    this.#fill(0)
    this.#apply()
    this.#fill(1)
    this.#apply()
    tables.addIdentities(vni, this.#ids())
    // Of remote pods what their own host has; only what it says of egress is used.
    const remote = oracle.pods.filter((pod) => !this.isLocal(pod))
    for (const pod of remote) this.#local.setPod(podKey(pod), pod)
    this.#local.takeChanges()
    this.sets = new Map(oracle.pods.map((pod) => [podKey(pod), this.#local.get(podKey(pod))!]))
  }

  isLocal({ ip }: OraclePod): boolean {
    return Number(ip.split('.')[2]) !== this.#remoteBlock
  }

  /** Paths by which the packet reaches this host; none: it is not this host's matter. */
  pathsOf({ source, destination }: Traffic): ProgramPath[] {
    if ('pod' in source && this.isLocal(source.pod)) return ['from_pod']
    if (!('pod' in destination) || !this.isLocal(destination.pod)) return []
    return 'pod' in source ? ['from_uplink', 'from_uplink_xdp'] : ['from_host']
  }

  /** What the program does with the packet. */
  run(path: ProgramPath, traffic: Traffic, number: number): TestVerdict {
    const source = 'pod' in traffic.source ? traffic.source.pod.ip : traffic.source.address
    const destination = 'pod' in traffic.destination ? traffic.destination.pod.ip : traffic.destination.address
    const protocol = PROTOCOL_NUMBERS[traffic.protocol]
    const packet = ipv4({ source, destination, protocol }, payloadOf(traffic, number))
    const mac = path === 'from_pod' ? macOf(source) : GATEWAY_MAC
    const frame = ethernet({ source: mac, destination: GATEWAY_MAC }, packet)
    if (path === 'from_pod') return this.#dataplane.run(path, frame, { ifindex: this.#deviceOf(traffic.source) })
    if (path === 'from_host') return this.#dataplane.run(path, frame, { forwardedFrom: UPLINK })
    const sender = 'pod' in traffic.source ? podKey(traffic.source.pod) : ''
    const option = identityOption(this.#identities.get(sender)!.id, {
      isIsolated: this.sets.get(sender)!.egress.isolated,
    })
    const tunnel = geneve({ vni: this.#vni, options: [option] }, frame)
    const outer = ipv4(
      { source: OTHER_NODE, destination: TEST_HOST.nodeIP, protocol: PROTOCOL_NUMBERS.UDP },
      udp({ sourcePort: 50_000, destinationPort: GENEVE_PORT }, tunnel),
    )
    const uplinkFrame = ethernet({ source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' }, outer)
    return this.#dataplane.run(path, uplinkFrame)
  }

  /** What the interpreter says that the program must do. */
  expect(path: ProgramPath, traffic: Traffic): Said {
    const { source, destination } = traffic
    const flow: FlowStart = { protocol: traffic.protocol === 'ICMP' ? 'other' : traffic.protocol, port: traffic.port }
    const isLoopback = 'pod' in source && 'pod' in destination && source.pod === destination.pod
    if (isLoopback) return { reason: 'None', rule: 0 }
    if (path === 'from_pod' && 'pod' in source) {
      const own = this.sets.get(podKey(source.pod))!
      const segment =
        'pod' in destination
          ? judgeEgressToPod(own, flow)
          : judgeEgressOutside(own, { ...flow, destination: destination.address })
      if (!segment.allow) return { reason: 'PolicyEgress', rule: segment.rule }
    }
    if (!('pod' in destination) || !this.isLocal(destination.pod)) return { reason: 'None', rule: 0 }
    const set = this.sets.get(podKey(destination.pod))!
    const identity = 'pod' in source ? this.#idOf(source.pod) : WORLD_IDENTITY
    const ingress = judgeIngress(set, { ...flow, identity, source: 'pod' in source ? source.pod.ip : source.address })
    if (!ingress.allow) return { reason: 'PolicyIngress', rule: ingress.rule }
    const peer = judgePeerEgress(set, { ...flow, identity })
    return peer?.allow === false ? { reason: 'PolicyPeerEgress', rule: peer.rule } : { reason: 'None', rule: 0 }
  }

  /** Device that a packet that passes must go to. */
  targetOf({ source, destination }: Traffic): number {
    if (!('pod' in destination)) return TEST_HOST.hostDevice.ifindex
    return 'pod' in source && !this.isLocal(destination.pod) ? UPLINK : this.#deviceOf(destination)
  }

  /** Takes the world off the tables. */
  close(): void {
    const { tables } = this.#dataplane
    for (const { vni, ip } of this.#endpoints.values()) tables.removeEndpoint({ vni, ip })
    for (const id of this.#setIds.values()) tables.removePolicySet(id)
    tables.removeIdentities(this.#vni, this.#ids())
  }

  #ids(): number[] {
    return [...new Set([...this.#identities.values()].map(({ id }) => id))]
  }

  #idOf(pod: OraclePod): number {
    return this.#identities.get(podKey(pod))!.id
  }

  #deviceOf(party: Traffic['source']): number {
    return 'pod' in party ? this.#endpoints.get(podKey(party.pod))!.ifindex : 0
  }

  /** Every second object, from the first or the second on; pods of this host are all there at once. */
  #fill(stage: 0 | 1): void {
    const { namespaces, nodes, networkPolicies, clusterNetworkPolicies, pods } = this.#oracle
    const isDue = (i: number): boolean => i % 2 === stage
    for (const [i, [name, labels]] of Object.entries(namespaces).entries())
      if (isDue(i)) this.#world.setNamespace(name, labels)
    for (const [i, node] of nodes.entries()) if (isDue(i)) this.#world.setNode(node.name, node.labels, node.addresses)
    for (const [i, policy] of networkPolicies.entries()) if (isDue(i)) this.#world.setNetworkPolicy(policy)
    for (const [i, policy] of clusterNetworkPolicies.entries())
      if (isDue(i)) this.#world.setClusterNetworkPolicy(policy)
    for (const [i, pod] of pods.entries()) {
      if (isDue(i)) this.#world.addIdentity(this.#identities.get(podKey(pod))!)
      if (stage === 0 && this.isLocal(pod)) this.#local.setPod(podKey(pod), pod)
    }
  }

  #apply(): void {
    const { tables } = this.#dataplane
    const { sets, pods, unused } = this.#local.takeChanges()
    const changed = [...sets].map(([before, change]) => ({ id: this.#setIds.get(before)!, before, ...change }))
    for (const { before } of changed) this.#setIds.delete(before)
    for (const { id, key, peers } of changed) {
      tables.extendPolicySet(id, peers)
      this.#setIds.set(key, id)
    }
    for (const [pod, set] of pods) {
      // A number of its own for each key: the set may have grown since.
      if (!this.#setIds.has(set.key))
        this.#setIds.set(set.key, tables.addPolicySet({ ...set, key: `${this.#vni}/${set.key}` }))
      this.#place(pod, this.#setIds.get(set.key)!)
    }
    for (const key of unused) {
      tables.removePolicySet(this.#setIds.get(key)!)
      this.#setIds.delete(key)
    }
  }

  #place(key: string, policySet: number): void {
    const index = this.#oracle.pods.findIndex((pod) => podKey(pod) === key)
    const { ip } = this.#oracle.pods[index]!
    const endpoint: Endpoint = {
      vni: this.#vni,
      ip,
      hostIP: ip,
      mac: macOf(ip),
      ifindex: FIRST_DEVICE + index,
      identity: this.#identities.get(key)!.id,
      policySet,
      routeDomain: 0,
      blockPrefix: 24,
      shaper: DEFAULT_SHAPER,
    }
    this.#endpoints.set(key, endpoint)
    this.#dataplane.tables.setEndpoint(endpoint)
  }
}

function macOf(ip: string): string {
  return ['0a', 'ce', ...[...ipBytes(ip)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/** `number`: tells flows apart that have no ports. */
function payloadOf({ protocol, port }: Traffic, number: number): Buffer {
  const ports = { sourcePort: SOURCE_PORT, destinationPort: port }
  switch (protocol) {
    case 'TCP':
      return tcp(ports, Buffer.alloc(0))
    case 'UDP':
      return udp(ports, Buffer.from('cell'))
    case 'SCTP':
      return sctpInit(ports)
    case 'ICMP':
      return icmpEcho({ id: number & 0xffff, sequence: 1 }, Buffer.from('cell'))
  }
}
