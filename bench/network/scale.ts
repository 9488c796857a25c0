import { readdirSync, readFileSync } from 'node:fs'
import {
  type Dataplane,
  DEFAULT_SHAPER,
  type Endpoint,
  LocalSets,
  openPrograms,
  PolicyWorld,
  RuleBook,
  type SetChanges,
  TestCluster,
} from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { countMapWrites } from './map-writes.ts'

/** Pods of the cluster are simulated: what a host knows of others' pods is their identities, one for every ten pods. */
const CLUSTER_PODS = [100, 10_000, 100_000] as const
const PODS_AN_IDENTITY = 10
const LOCAL_PODS = 100
const NAMESPACES = 20
const APPS = 50
const POLICIES = 200
const CHANGES = 21
const FIRST_IDENTITY = 256
/** One that selects the first local pod, and others with its labels. */
const CHANGED_POLICY = FIRST_IDENTITY % 100
const MEMORY_PODS = 250
const MEBIBYTE = 2 ** 20
const VNI = 1

/** Time and writes of the kernel's tables as a cluster grows, and the memory that they take. */
export async function measureScale({ log }: BenchContext): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = []
  for (const pods of CLUSTER_PODS) {
    log(`scale: ${pods} pods`)
    const cluster = await TestCluster.create({ hosts: 1, attach: 'tcx', prefix: `sc${pods}-` })
    results.push(...cluster.on(cluster.host(1), (dataplane) => new ScaledHost(dataplane, pods).measure()))
    cluster.close()
  }
  log('scale: memory')
  return [...results, ...(await measureMemory())]
}

/** One host of a cluster with so many pods. */
class ScaledHost {
  readonly #dataplane: Dataplane
  readonly #world = new PolicyWorld({ tenant: 'bench', rules: new RuleBook() })
  readonly #local = new LocalSets(this.#world)
  readonly #ids = new Map<string, number>()
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #pods: number
  #identities = 0

  constructor(dataplane: Dataplane, pods: number) {
    this.#dataplane = dataplane
    this.#pods = pods
    for (let i = 0; i < NAMESPACES; i++) this.#world.setNamespace(`ns-${i}`, { team: `t-${i % 4}` })
    for (let i = 0; i < POLICIES; i++) this.#setPolicy(i, 8080)
    for (let i = 0; i < Math.ceil(pods / PODS_AN_IDENTITY); i++) this.#addIdentity()
    for (let i = 0; i < LOCAL_PODS; i++) this.#addLocalPod(i)
  }

  measure(): BenchResult[] {
    const at = `${this.#pods} pods`
    const first = this.#apply()
    const policy = Array.from({ length: CHANGES }, (_, i) => {
      this.#setPolicy(CHANGED_POLICY, 9000 + i)
      return this.#apply()
    })
    const known = this.#apply()
    const labels = Array.from({ length: CHANGES }, () => {
      this.#addIdentity()
      return this.#apply()
    })
    const figure = (metric: string, value: number, { unit, atMost }: { unit: string; atMost?: number }): BenchResult =>
      benchResult({ metric: `${metric}, ${at}`, unit, value, target: atMost === undefined ? undefined : { atMost } })
    const middle = (runs: readonly Applied[], of: keyof Applied): number => median(runs.map((run) => run[of]))
    return [
      figure(`all of a host’s ${LOCAL_PODS} pods`, first.durationMs, { unit: 'ms' }),
      figure(`all of a host’s ${LOCAL_PODS} pods, map writes`, first.writes, { unit: 'writes' }),
      figure('a policy changes', middle(policy, 'durationMs'), { unit: 'ms', atMost: 10 }),
      figure('a policy changes, map writes', middle(policy, 'writes'), { unit: 'writes' }),
      figure('a pod elsewhere with known labels, map writes', known.writes, { unit: 'writes', atMost: 0 }),
      figure('a pod elsewhere with new labels', middle(labels, 'durationMs'), { unit: 'ms' }),
      figure('a pod elsewhere with new labels, map writes', middle(labels, 'writes'), { unit: 'writes' }),
    ]
  }

  #setPolicy(index: number, port: number): void {
    const from = [{ namespaceSelector: {}, podSelector: { matchLabels: { app: `app-${(index + 1) % APPS}` } } }]
    this.#world.setNetworkPolicy({
      metadata: { namespace: `ns-${index % NAMESPACES}`, name: `policy-${index}` },
      spec: { podSelector: { matchLabels: { app: `app-${index % APPS}` } }, ingress: [{ from, ports: [{ port }] }] },
    })
  }

  #addIdentity(): void {
    const id = FIRST_IDENTITY + this.#identities++
    const labels = { app: `app-${id % APPS}`, version: `v${Math.floor(id / APPS)}` }
    this.#world.addIdentity({ id, namespace: `ns-${id % NAMESPACES}`, labels, keys: ['app', 'version'] })
  }

  #addLocalPod(index: number): void {
    const key = `pod-${index}`
    const ip = `10.244.1.${index + 2}`
    const identity = FIRST_IDENTITY + (index % this.#identities)
    const labels = { app: `app-${identity % APPS}` }
    this.#endpoints.set(key, endpointOf(ip, { identity, ifindex: 1_000 + index }))
    this.#local.setPod(key, { namespace: `ns-${identity % NAMESPACES}`, labels, ip, namedPorts: [] })
  }

  /** As the daemon does: new peers into sets, new sets, endpoints to their sets, and sets that nobody uses go. */
  #apply(): Applied {
    const began = performance.now()
    const writes = countMapWrites(() => this.#write(this.#local.takeChanges()))
    return { durationMs: performance.now() - began, writes }
  }

  #write({ sets, pods, unused }: SetChanges): void {
    const renamed = [...sets].map(([before, { key, peers }]) => ({ id: this.#ids.get(before)!, before, key, peers }))
    for (const { id, before, peers } of renamed) {
      this.#dataplane.extendPolicySet(id, peers)
      this.#ids.delete(before)
    }
    for (const { id, key } of renamed) this.#ids.set(key, id)
    for (const [pod, set] of pods) {
      const policySet = this.#dataplane.addPolicySet(set)
      this.#ids.set(set.key, policySet)
      const endpoint = { ...this.#endpoints.get(pod)!, policySet }
      this.#endpoints.set(pod, endpoint)
      this.#dataplane.setEndpoint(endpoint)
    }
    for (const key of unused) {
      this.#dataplane.removePolicySet(this.#ids.get(key)!)
      this.#ids.delete(key)
    }
  }
}

interface Applied {
  readonly durationMs: number
  readonly writes: number
}

function endpointOf(ip: string, { identity, ifindex }: Pick<Endpoint, 'identity' | 'ifindex'>): Endpoint {
  const shared = { vni: VNI, routeDomain: 0, blockPrefix: 24, policySet: 0, shaper: DEFAULT_SHAPER }
  return { ...shared, ip, hostIP: ip, mac: '0a:ce:00:00:00:01', ifindex, identity }
}

/** What the kernel says that tables and programs of one host take, with 250 real pods. */
async function measureMemory(): Promise<BenchResult[]> {
  const cluster = await TestCluster.create({ hosts: 1, attach: 'tcx', prefix: 'mem-' })
  const pins = cluster.tables(cluster.host(1))
  for (let i = 0; i < MEMORY_PODS; i++) cluster.addPod({ name: `pod-${i}`, host: 1, identity: FIRST_IDENTITY + i })
  const programs = openPrograms({ folder: cluster.programs, pinDir: pins })
  if (!programs.areAdopted) throw new Error(`The data plane keeps no tables in ${pins}`)
  const names = readdirSync(pins).map((pin) => pin.replaceAll('-', '.'))
  const bytes = names.map((name) => lockedBytes(programs.map(name).fd))
  const total = bytes.reduce((sum, each) => sum + each, 0)
  programs.close()
  cluster.close()
  const target = { atMost: 64 }
  return [
    benchResult({
      metric: `kernel memory of a host with ${MEMORY_PODS} pods`,
      unit: 'MiB',
      value: total / MEBIBYTE,
      target,
    }),
  ]
}

/** Source: proc(5), fdinfo of BPF maps: `memlock`, what the map takes now. */
function lockedBytes(fd: number): number {
  return Number(/^memlock:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1])
}
