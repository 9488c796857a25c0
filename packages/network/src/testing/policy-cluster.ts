import { type AttachMode, TestCluster, type TestPod } from './cluster.ts'
import { compileWorld } from './policy-cells.ts'
import { podKey } from './policy-identities.ts'
import { askOracle, type OraclePod, type OracleWorld, type Traffic } from './policy-oracle.ts'
import { findWrongProbes, type Probe, type ServedPort } from './reachability.ts'

/** Pods of an oracle's world on two hosts, with what the compiler makes of its policies, asked by real sockets. */

const HOSTS = 2
/** Both sides of the bounds that policies of tests use. */
const SERVED: readonly ServedPort[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'TCP', port: 81 },
  { protocol: 'UDP', port: 80 },
  { protocol: 'UDP', port: 81 },
  { protocol: 'SCTP', port: 80 },
]
const ASKED = [...SERVED, { protocol: 'ICMP' as const, port: 0 }]
const IDENTITY_NONE = 255

export type PodSpec = Pick<OraclePod, 'namespace' | 'name' | 'labels' | 'namedPorts'>

export class PolicyCluster {
  readonly #cluster: TestCluster
  readonly pods: readonly OraclePod[]

  private constructor(cluster: TestCluster, pods: readonly OraclePod[]) {
    this.#cluster = cluster
    this.pods = pods
  }

  /** Pods are spread over the hosts in turn; their labels may change later, their addresses not. */
  static async create(specs: readonly PodSpec[], attach: AttachMode): Promise<PolicyCluster> {
    const cluster = await TestCluster.create({ hosts: HOSTS, attach })
    const pods = specs.map((spec, index): OraclePod => {
      const host = 1 + (index % HOSTS)
      const { endpoint } = cluster.addPod({ name: nameOf(spec), host, identity: IDENTITY_NONE, ports: SERVED })
      return { ...spec, ip: endpoint.ip }
    })
    return new PolicyCluster(cluster, pods)
  }

  /** Compiles the world's policies into every pod's set and identity, then asks every cell. The cells that the oracle sees otherwise. */
  findWrongCells(world: OracleWorld): string[] {
    const { sets, identities } = compileWorld(world)
    for (const host of this.#cluster.hosts)
      this.#cluster.on(host, (dataplane) => dataplane.addIdentities(VNI, [...identities.values()]))
    for (const pod of world.pods) {
      this.#cluster.setIdentity(nameOf(pod), identities.get(podKey(pod))!)
      this.#cluster.setPolicySet(nameOf(pod), sets.get(podKey(pod))!)
    }
    const servers = this.#cluster.pods.map(({ server }) => server)
    return findWrongProbes(
      listCells(world).map((traffic) => this.#probe(world, traffic)),
      servers,
    )
  }

  #probe(world: OracleWorld, { from, to, protocol, port }: Cell): Probe {
    const traffic: Traffic = { source: { pod: from }, destination: { pod: to }, protocol, port }
    const expected = askOracle(world, traffic).allowed ? 'open' : 'closed'
    const [sender, receiver] = [this.#pod(from), this.#pod(to)]
    const name = `${podKey(from)} → ${podKey(to)} ${protocol} ${port}`
    return { from: sender.namespace, to: receiver.endpoint.ip, protocol, port, expected, name }
  }

  #pod(pod: OraclePod): TestPod {
    return this.#cluster.pod(nameOf(pod))
  }

  close(): void {
    this.#cluster.close()
  }
}

const VNI = 1

interface Cell {
  readonly from: OraclePod
  readonly to: OraclePod
  readonly protocol: Traffic['protocol']
  readonly port: number
}

/** Every pod to every pod at every port. */
export function listCells({ pods }: OracleWorld): Cell[] {
  return pods.flatMap((from) => pods.flatMap((to) => ASKED.map((what) => ({ from, to, ...what }))))
}

function nameOf({ namespace, name }: Pick<OraclePod, 'namespace' | 'name'>): string {
  return `${namespace}-${name}`
}
