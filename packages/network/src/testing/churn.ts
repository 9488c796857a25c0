import { createSeededRandom, type Random } from '@centaurus/base'
import { type AttachMode, TestCluster, type TestPod } from './cluster.ts'
import { allowPorts, DENY_ALL, OPEN, policySet } from './policy-sets.ts'
import { findWrongProbes, type Probe, type ServedPort } from './reachability.ts'
import { findTrafficFaults, type Flow, startTraffic } from './traffic.ts'

/** Pods, identities and policies change at random while flows between others go on; after every change a model says who reaches whom. */

const HOSTS = 2
const CHURNED_PODS_MAX = 10
const PROBES_A_STEP = 12
const IDENTITIES = [300, 301, 302, 303] as const
const STABLE_IDENTITY = 256
const ENEMY_IDENTITY = 257
const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 80 },
  { protocol: 'UDP', port: 81 },
  { protocol: 'TCP', port: 81 },
]

export interface ChurnOptions {
  readonly seed: number
  readonly attach: AttachMode
  readonly steps: number
}

/** Resolves to what went wrong, with the step it was seen at. */
export async function runChurnRound({ seed, attach, steps }: ChurnOptions): Promise<string[]> {
  const cluster = await TestCluster.create({ hosts: HOSTS, attach })
  const churn = new Churn(cluster, createSeededRandom(seed))
  try {
    const traffic = await startTraffic(addStablePods(cluster))
    const faults: string[] = []
    for (let step = 1; step <= steps && faults.length === 0; step++) {
      const what = churn.change()
      faults.push(...churn.check().map((fault) => `step ${step} (${what}): ${fault}`))
    }
    return [...faults, ...findTrafficFaults(await traffic.stop())]
  } finally {
    cluster.close()
  }
}

/** Flows that nothing of what happens may touch: those of friends lose nothing, those of enemies never arrive. */
function addStablePods(cluster: TestCluster): Flow[] {
  const served = (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, firstPort: 7000, lastPort: 7099 }))
  const friends = policySet({
    ingress: { byIdentity: new Map([[STABLE_IDENTITY, allowPorts(served)]]), others: DENY_ALL },
  })
  for (let host = 1; host <= HOSTS; host++) {
    cluster.addPod({ name: `friend-${host}`, host, identity: STABLE_IDENTITY })
    cluster.addPod({ name: `enemy-${host}`, host, identity: ENEMY_IDENTITY })
    cluster.addPod({ name: `server-${host}`, host, identity: STABLE_IDENTITY, policySet: friends })
  }
  let port = 7000
  const numbers = Array.from({ length: HOSTS }, (_, index) => index + 1)
  return numbers.flatMap((from) =>
    numbers.flatMap((to) => {
      const server = cluster.pod(`server-${to}`)
      const flow = (who: 'friend' | 'enemy', protocol: 'TCP' | 'UDP'): Flow => ({
        name: `${who}-${from} → server-${to} ${protocol}`,
        protocol,
        client: cluster.namespaceName(`${who}-${from}`),
        server: cluster.namespaceName(server.name),
        ip: server.endpoint.ip,
        port: port++,
        expected: who === 'friend' ? 'lossless' : 'never',
      })
      return [flow('friend', 'TCP'), flow('friend', 'UDP'), flow('enemy', 'UDP')]
    }),
  )
}

/** The model of one pod that comes and goes: who reaches which of its ports. Undefined: everybody, all. */
type Allowed = ReadonlyMap<number, number> | undefined

class Churn {
  readonly #cluster: TestCluster
  readonly #random: Random
  readonly #allowed = new Map<string, Allowed>()
  #made = 0

  constructor(cluster: TestCluster, random: Random) {
    this.#cluster = cluster
    this.#random = random
  }

  /** Changes one thing; says what. */
  change(): string {
    const churned = [...this.#allowed.keys()]
    const what = churned.length < 2 ? 0 : this.#random.integer(10)
    if (what < 3 && churned.length < CHURNED_PODS_MAX) return this.#addPod()
    const name = this.#pick(churned)
    if (what < 4) {
      this.#cluster.removePod(name)
      this.#allowed.delete(name)
      return `remove ${name}`
    }
    if (what < 6) {
      const identity = this.#pick(IDENTITIES)
      this.#cluster.setIdentity(name, identity)
      return `${name} has identity ${identity}`
    }
    if (what === 6) {
      const host = this.#pick(this.#cluster.hosts)
      this.#cluster.restartDaemon(host)
      return `restart ${host.plan.name}`
    }
    const { allowed, set } = this.#randomPolicy()
    this.#cluster.setPolicySet(name, set)
    this.#allowed.set(name, allowed)
    return `${name} allows ${describe(allowed)}`
  }

  #addPod(): string {
    const name = `pod-${++this.#made}`
    const { allowed, set } = this.#randomPolicy()
    const identity = this.#pick(IDENTITIES)
    const host = 1 + this.#random.integer(HOSTS)
    this.#cluster.addPod({ name, host, identity, policySet: set, ports: PORTS })
    this.#allowed.set(name, allowed)
    return `add ${name} on host ${host} with identity ${identity}, allows ${describe(allowed)}`
  }

  #randomPolicy(): { allowed: Allowed; set: typeof OPEN } {
    if (this.#random.integer(4) === 0) return { allowed: undefined, set: OPEN }
    const chosen = IDENTITIES.filter(() => this.#random.integer(2) === 0)
    const allowed = new Map(chosen.map((identity) => [identity, 80 + this.#random.integer(2)]))
    const lists = [...allowed].map(([identity, port]) => {
      const ports = (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, firstPort: port, lastPort: port }))
      return [identity, allowPorts(ports)] as const
    })
    return { allowed, set: policySet({ ingress: { byIdentity: new Map(lists), others: DENY_ALL } }) }
  }

  /** Some cells of the matrix of churned pods. */
  check(): string[] {
    const pods = [...this.#allowed.keys()].map((name) => this.#cluster.pod(name))
    const probes = Array.from({ length: PROBES_A_STEP }, () => this.#probe(this.#pick(pods), this.#pick(pods)))
    return findWrongProbes(
      probes,
      pods.map(({ server }) => server),
    )
  }

  #probe(from: TestPod, to: TestPod): Probe {
    const { protocol, port } = this.#pick(PORTS)
    const allowed = this.#allowed.get(to.name)
    const isOpen = from.name === to.name || allowed === undefined || allowed.get(from.endpoint.identity) === port
    const name = `${from.name} → ${to.name} ${protocol} ${port}`
    const what = { protocol: protocol as 'TCP' | 'UDP', port, name }
    return { ...what, from: from.namespace, to: to.endpoint.ip, expected: isOpen ? 'open' : 'closed' }
  }

  #pick<Each>(all: readonly Each[]): Each {
    return all[this.#random.integer(all.length)]!
  }
}

function describe(allowed: Allowed): string {
  if (allowed === undefined) return 'all'
  return allowed.size === 0 ? 'nobody' : [...allowed].map(([identity, port]) => `${identity} on ${port}`).join(', ')
}
