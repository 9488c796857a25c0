import { readdirSync } from 'node:fs'
import { join } from 'node:path'
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
import { GATEWAY_MAC, podPacket, tunnelled } from './frames.ts'
import { type HotPacket, HotProgram } from './hot.ts'
import { measureMizar } from './mizar.ts'
import { runProgram, skBuffFrom } from './run-program.ts'

const SINGLE_RUNS = 4_000
const SOURCE_PORT_OFFSET = 34
const TUNNEL_BYTES = 58
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
    const pins = join(cluster.bpffs('pk-host1'), PINS)
    const programs = openPrograms({ folder: cluster.programs, pinDir: pins })
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

/** Where the data plane keeps its tables under a bpffs. */
const PINS = 'centaurus/v1/maps'

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
  }

  measureAll(): BenchResult[] {
    const { a, b, open, far } = this.#pods
    const figure = (what: string, value: number): BenchResult =>
      benchResult({ metric: `ns a packet: ours, ${what}`, unit: 'ns', value })
    const here = { program: 'from_pod', device: a } as const
    const wire = { device: undefined, verdict: XDP_REDIRECT } as const
    const tunnel = { ...wire, program: 'from_uplink_xdp' } as const
    const frames = {
      guarded: this.#fromPod(a, b),
      open: this.#fromPod(a, open),
      far: this.#fromPod(a, far),
      back: tunnelled(far, b),
    }
    const established = this.#measure({ ...here, frame: frames.guarded, verdict: TC_REDIRECT })
    return [
      figure('same host, no policy', this.#measure({ ...here, frame: frames.open, verdict: TC_REDIRECT })),
      figure('same host, established', established),
      figure(
        'same host, new flow allowed',
        this.#measure({ ...here, frame: frames.guarded, verdict: TC_REDIRECT, portOffset: SOURCE_PORT_OFFSET }),
      ),
      figure(
        'same host, new flow denied',
        this.#measure({
          program: 'from_pod',
          device: open,
          frame: this.#fromPod(open, b),
          verdict: TC_DROP,
          portOffset: SOURCE_PORT_OFFSET,
        }),
      ),
      figure('encapsulation, established (tcx)', established + this.#single(frames.far) - this.#single(frames.guarded)),
      figure(
        'decapsulation, established (tcx)',
        this.#measure({
          program: 'from_uplink',
          device: undefined,
          frame: frames.back,
          verdict: TC_REDIRECT,
          growth: -TUNNEL_BYTES,
        }),
      ),
      figure(
        'decapsulation, established (XDP)',
        this.#measure({ ...tunnel, frame: frames.back, growth: -TUNNEL_BYTES }),
      ),
      figure(
        'decapsulation, new flow allowed (XDP)',
        this.#measure({
          ...tunnel,
          frame: frames.back,
          portOffset: SOURCE_PORT_OFFSET + TUNNEL_BYTES,
          growth: -TUNNEL_BYTES,
        }),
      ),
      figure(
        'decapsulation, new flow denied (XDP)',
        this.#measure({
          ...tunnel,
          verdict: XDP_DROP,
          frame: tunnelled(far, b, STRANGER),
          portOffset: SOURCE_PORT_OFFSET + TUNNEL_BYTES,
        }),
      ),
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
