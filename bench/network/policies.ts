import { identityContentOf, identityNameOf } from '@centaurus/api'
import { networkidentities, vpcs } from '@centaurus/api/centaurus/v1'
import { namespaces, pods, type Pod } from '@centaurus/api/core/v1'
import { networkpolicies, type NetworkPolicy } from '@centaurus/api/networking/v1'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import {
  type AppliedChange,
  ClusterView,
  type Dataplane,
  PodNetworks,
  reportTenant,
  RuleBook,
  TestCluster,
} from '@centaurus/network/testing'
import { createMemoryClient } from '@centaurus/node/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { percentile } from '../harness/measure.ts'

const POLICY_COUNTS = [100, 10_000] as const
const NAMESPACES = 20
const LOCAL_PODS = 100
const CHANGES = 100
const NODE = 'n1'
const VNI = 1
const KEYS = ['app']
const FIRST_IDENTITY = 256

/** What a change of one policy takes from its arrival until packets see it, on a host whose tenant has few policies or many; two pods are selected. */
export async function measurePolicies({ log }: BenchContext): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = []
  const alive = setInterval(() => {}, 1_000) // the daemon's own timers keep no process
  for (const policies of POLICY_COUNTS) {
    log(`policies: ${policies}`)
    const cluster = await TestCluster.create({ hosts: 1, attach: 'tcx', prefix: `po${policies}-` })
    const dataplane = cluster.on(cluster.host(1), (own) => own)
    const host = await PolicyHost.create(dataplane, policies)
    for (let change = 0; change < CHANGES; change++) await host.change(change)
    const taken = []
    for (let change = 0; change < CHANGES; change++) taken.push(await host.change(CHANGES + change))
    await host.close()
    cluster.close()
    for (const [name, part] of Object.entries({ p50: 0.5, p95: 0.95, slowest: 1 }))
      results.push(
        benchResult({
          metric: `a policy of ${policies} changes, processor, ${name}`,
          unit: 'ms',
          value: percentile(taken, part),
          target: { atMost: 10 },
        }),
      )
  }
  clearInterval(alive)
  return results
}

/** A host's daemon without its servers: from an API in memory to the tables of the kernel. */
class PolicyHost {
  readonly #client = createMemoryClient()
  readonly #informers = createInformerFactory(this.#client)
  readonly #view = new ClusterView({ podInformers: this.#informers, informers: this.#informers, nodeName: NODE })
  readonly #networks: PodNetworks
  readonly #policies: number
  #applied: (change: AppliedChange) => void = () => {}

  private constructor(dataplane: Dataplane, policies: number) {
    this.#policies = policies
    this.#networks = new PodNetworks({
      view: this.#view,
      dataplane: { ...dataplane, attachPod: () => {} }, // the pods have no devices
      rules: new RuleBook(),
      dnsAddresses: [],
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      onApplied: (change) => this.#applied(change),
      onPlanned: (planned) => reportTenant({ reportApplied: () => {}, forget: () => {} }, this.#view, planned),
    })
  }

  static async create(dataplane: Dataplane, policies: number): Promise<PolicyHost> {
    const host = new PolicyHost(dataplane, policies)
    await host.#fill()
    return host
  }

  async #fill(): Promise<void> {
    const client = this.#client
    await client.create(vpcs, { metadata: { name: 'default' }, status: { vni: VNI } })
    for (let each = 0; each < NAMESPACES; each++)
      await client.create(namespaces, { metadata: { name: `ns-${each}`, labels: { team: `t-${each % 4}` } } })
    for (let each = 0; each < this.#policies; each++) await client.create(networkpolicies, this.#policy(each, 8080))
    for (let each = 0; each < LOCAL_PODS; each++) {
      const pod: Pod = {
        metadata: { namespace: `ns-${each % NAMESPACES}`, name: `pod-${each}`, labels: { app: `app-${each >> 1}` } },
        spec: { nodeName: NODE, containers: [{ name: 'c' }] },
      }
      await client.create(pods, pod)
      const content = identityContentOf(pod, KEYS)
      const metadata = { name: identityNameOf(content) }
      await client.create(networkidentities, { metadata, spec: { ...content, keys: KEYS, id: FIRST_IDENTITY + each } })
    }
    this.#networks.start()
    await this.#view.whenSynced()
    while (this.#networks.problem !== undefined) await systemClock.sleep(10)
    for (let each = 0; each < LOCAL_PODS; each++) {
      const ip = `10.244.1.${each + 2}`
      const names = {
        namespace: `ns-${each % NAMESPACES}`,
        name: `pod-${each}`,
        uid: undefined,
        containerId: `c-${each}`,
      }
      const place = { vpc: 'default', vni: VNI, routeDomain: 0, blockPrefix: 24, ip, hostIP: ip }
      const device = { mac: '0a:ce:00:00:00:01', device: `cen${each}`, ifindex: 1_000 + each }
      this.#networks.activate({ ...names, ...place, ...device })
    }
  }

  /** Processor time of this process, in ms, from before the write until the kernel has it; the API in memory is part of it. */
  async change(port: number): Promise<number> {
    const policy = this.#policy(port % LOCAL_PODS, 9_000 + port)
    const { metadata } = await this.#client.get(networkpolicies, policy.metadata)
    const { promise, resolve } = Promise.withResolvers<AppliedChange>()
    this.#applied = resolve
    const before = process.cpuUsage()
    await this.#client.update(networkpolicies, { ...policy, metadata })
    await promise
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  }

  /** For the pods of one namespace that have one label, from those that have another one in any. */
  #policy(index: number, port: number): NetworkPolicy & { metadata: { name: string; namespace: string } } {
    const from = [
      { namespaceSelector: {}, podSelector: { matchLabels: { app: `app-${((index >> 1) + 1) % (LOCAL_PODS / 2)}` } } },
    ]
    return {
      metadata: { namespace: `ns-${index % NAMESPACES}`, name: `policy-${index}` },
      spec: {
        podSelector: { matchLabels: { app: `app-${index >> 1}` } },
        ingress: [{ from, ports: [{ port }] }],
      },
    }
  }

  async close(): Promise<void> {
    this.#networks.close()
    await this.#informers.close()
  }
}
