import { readdirSync } from 'node:fs'
import {
  ALLOW_ALL,
  DENY_ALL,
  ethernet,
  openPrograms,
  type OpenPrograms,
  type ProgramName,
  policySet,
  TestCluster,
  type TestPod,
} from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { AdmitBench } from './admit.ts'
import { GATEWAY_MAC, podPacket, SERVER_PORT, tunnelled } from './frames.ts'
import { type HotPacket, HotProgram } from './hot.ts'
import { measureMizar } from './mizar.ts'
import { runProgram, skBuffFrom } from './run-program.ts'

const SINGLE_RUNS = 4_000
const SOURCE_PORT_OFFSET = 34
const TUNNEL_BYTES = 58
const SERVICE_IP = '10.96.0.10'
const FRIEND = 256
const STRANGER = 257
const TC_DROP = 2
const TC_REDIRECT = 7
const XDP_DROP = 1
const XDP_REDIRECT = 4

/** Nanoseconds of one 64-byte packet in each program, and of policy and connection tracking alone, against Mizar's chain of look-ups. */
export async function measurePackets({ directory, log }: BenchContext): Promise<readonly BenchResult[]> {
  log('packets: programs on frames')
  const cluster = await TestCluster.create({ hosts: 2, attach: 'xdp', prefix: 'pk-' })
  try {
    const mizar = measureMizar(directory)
    const pins = cluster.tables(cluster.host(1))
    const programs = openPrograms({ folder: cluster.programs, pinDir: pins })
    if (!programs.areAdopted) throw new Error(`The data plane keeps no tables in ${pins}`)
    const bench = new PacketBench(cluster, { programs, pins, directory })
    const results = [...bench.measureAll(), ...bench.measureAdmission(mizar)]
    bench.close()
    programs.close()
    return [
      ...results,
      benchResult({ metric: 'ns a packet: Mizar’s look-ups (policy alone)', unit: 'ns', value: mizar }),
    ]
  } finally {
    cluster.close()
  }
}

class PacketBench {
  readonly #pods: Readonly<Record<'a' | 'b' | 'open' | 'far', TestPod>>
  readonly #maps: ReadonlyMap<string, number>
  readonly #fromPodFd: number
  readonly #hot = new Map<ProgramName, HotProgram>()
  readonly #cluster: TestCluster
  readonly #directory: string

  constructor(
    cluster: TestCluster,
    { programs, pins, directory }: { programs: OpenPrograms; pins: string; directory: string },
  ) {
    this.#fromPodFd = programs.programFd('from_pod')
    // a bpffs allows no dots in names
    const names = readdirSync(pins).map((pin) => pin.replaceAll('-', '.'))
    this.#maps = new Map(names.map((name) => [name, programs.map(name).fd]))
    this.#cluster = cluster
    this.#directory = directory
    const guarded = policySet({ ingress: { byIdentity: new Map([[FRIEND, ALLOW_ALL]]), others: DENY_ALL } })
    this.#pods = {
      a: cluster.addPod({ name: 'a', host: 1, identity: FRIEND }),
      b: cluster.addPod({ name: 'b', host: 1, identity: STRANGER, policySet: guarded }),
      open: cluster.addPod({ name: 'open', host: 1, identity: STRANGER }),
      far: cluster.addPod({ name: 'far', host: 2, identity: FRIEND }),
    }
    this.#serve(this.#pods.b)
  }

  /** One Service with one backend, so that every packet goes the same way. */
  #serve(backend: TestPod): void {
    const backends = [{ ip: backend.endpoint.ip, port: SERVER_PORT, isLocal: true }]
    const empty = { externalBackends: [], whenEmpty: 'refuse', whenExternalEmpty: 'drop', draining: [] } as const
    const address = { vni: backend.endpoint.vni, ip: SERVICE_IP, scope: 'cluster', port: SERVER_PORT } as const
    const rest = { protocol: 'UDP', keepsSource: false, sourceRanges: undefined, affinitySeconds: 0 } as const
    const frontends = [{ ...address, ...empty, ...rest, backends, name: 'bench/service:' }]
    this.#cluster.on(backend.host, (dataplane) => dataplane.applyServices({ frontends }))
  }

  #toService(from: TestPod): Buffer {
    const packet = podPacket({ source: from.endpoint.ip, destination: SERVICE_IP })
    return ethernet({ source: from.mac, destination: GATEWAY_MAC }, packet)
  }

  measureAll(): BenchResult[] {
    const { a, b, open, far } = this.#pods
    const here = { program: 'from_pod', device: a, verdict: TC_REDIRECT } as const
    const guarded = { ...here, frame: this.#fromPod(a, b) }
    const denied = { program: 'from_pod', device: open, verdict: TC_DROP, frame: this.#fromPod(open, b) } as const
    const established = this.#measure(guarded)
    const added = this.#single(this.#fromPod(a, far)) - this.#single(guarded.frame)
    return [
      ours('same host, no policy', this.#measure({ ...here, frame: this.#fromPod(a, open) })),
      ours('same host, established', established),
      ours('same host, new flow allowed', this.#measure({ ...guarded, portOffset: SOURCE_PORT_OFFSET })),
      ours('same host, new flow denied', this.#measure({ ...denied, portOffset: SOURCE_PORT_OFFSET })),
      ours('same host, Service, established', this.#measure({ ...here, frame: this.#toService(a) })),
      ours('encapsulation, established (tcx)', established + added),
      ...this.#measureArrivals(),
    ]
  }

  #measureArrivals(): BenchResult[] {
    const { b, far } = this.#pods
    const portOffset = SOURCE_PORT_OFFSET + TUNNEL_BYTES
    const arrival = { device: undefined, frame: tunnelled(far, b), growth: -TUNNEL_BYTES } as const
    const xdp = { ...arrival, program: 'from_uplink_xdp', verdict: XDP_REDIRECT } as const
    const denied = { ...xdp, verdict: XDP_DROP, growth: 0, frame: tunnelled(far, b, STRANGER), portOffset }
    const tcx = { ...arrival, program: 'from_uplink', verdict: TC_REDIRECT } as const
    return [
      ours('decapsulation, established (tcx)', this.#measure(tcx)),
      ours('decapsulation, established (XDP)', this.#measure(xdp)),
      ours('decapsulation, new flow allowed (XDP)', this.#measure({ ...xdp, portOffset })),
      ours('decapsulation, new flow denied (XDP)', this.#measure(denied)),
    ]
  }

  /** Policy and connection tracking alone: what stands against Mizar's chain, which is nothing else. */
  measureAdmission(mizar: number): BenchResult[] {
    const { b } = this.#pods
    const bench = new AdmitBench({ directory: this.#directory, maps: this.#maps })
    try {
      const frame = this.#fromPod(this.#pods.a, b)
      const at = { frame, vni: b.endpoint.vni, set: b.endpoint.policySet }
      const peer = { name: 'Mizar’s look-ups', value: mizar }
      const alone = (what: string, value: number, target?: { atMost: number }): BenchResult =>
        benchResult({ metric: `ns a packet: ours, policy alone, ${what}`, unit: 'ns', value, peer, target })
      return [
        alone('established', bench.measure({ ...at, identity: FRIEND, flows: 1 }), { atMost: 80 }),
        alone('established, 50,000 flows', bench.measure({ ...at, identity: FRIEND, flows: 50_000 })),
        alone('denied', bench.measure({ ...at, identity: STRANGER, flows: 50_000 })),
      ]
    } finally {
      bench.close()
    }
  }

  #fromPod(from: TestPod, to: TestPod): Buffer {
    const packet = podPacket({ source: from.endpoint.ip, destination: to.endpoint.ip })
    return ethernet({ source: from.mac, destination: GATEWAY_MAC }, packet)
  }

  #measure(run: HotRun): number {
    const known =
      this.#hot.get(run.program) ?? new HotProgram(run.program, { directory: this.#directory, maps: this.#maps })
    this.#hot.set(run.program, known)
    const device = run.device?.ifindex ?? this.#cluster.host(1).namespace.ifindex('eth0')
    return this.#cluster.host(1).namespace.run(() => known.measure({ ...run, device }))
  }

  /**
   * One packet of pod `a` in a run of its own: a buffer can be encapsulated once. Caches are as a system call leaves them, so only the difference between two
   * packets counts.
   */
  #single(frame: Buffer): number {
    const context = skBuffFrom(this.#pods.a.ifindex)
    const once = (): number => runProgram({ programFd: this.#fromPodFd, frame, context }).durationNs
    return this.#cluster.host(1).namespace.run(() => median(Array.from({ length: SINGLE_RUNS }, once)))
  }

  close(): void {
    for (const program of this.#hot.values()) program.close()
  }
}

interface HotRun extends Omit<HotPacket, 'device'> {
  readonly program: ProgramName
  readonly device: TestPod | undefined
}

function ours(what: string, value: number): BenchResult {
  return benchResult({ metric: `ns a packet: ours, ${what}`, unit: 'ns', value })
}
