/**
 * The real programs with the real tables, run on frames that a test wrote, without devices (BPF_PROG_TEST_RUN). Needs root; touches nothing of the host: no
 * device, no pin, no namespace.
 *
 * ```ts
 * const host = await openTestDataplane()
 * host.tables.setEndpoint({ …, ifindex: 12 })
 * const { verdict, reason, target, frame, lookups } = host.run('from_pod', bytes, { ifindex: 12 })
 * host.close()
 * ```
 * Interfaces need not exist: `ifindex` is what the program believes. Frames: see frames.ts.
 */
import { join } from 'node:path'
import { openPrograms, type ProgramName } from '../dataplane/open-programs.ts'
import { openTables, type DataplaneTables, type HostFacts } from '../dataplane/open-tables.ts'
import { decodeDrop } from '../dataplane/read-counters.ts'
import type { DropEvent } from '../dataplane/dataplane.ts'
import type { BpfMap } from '../kernel/bpf-map.ts'
import { testRunProgram } from '../kernel/bpf-test-run.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { openRingBuffer } from '../kernel/ring-buffer.ts'
import { mapSharedMemory } from '../kernel/shared-memory.ts'
import { ctEntry, ctKey, type CtEntryRecord } from '../layouts/layouts.ts'
import { DROP_REASONS, type DropReason } from '../layouts/reasons.ts'
import { SHAPER_TAG } from '../layouts/shaping.ts'
import { struct, u32, u64 } from '../layouts/struct.ts'

/** The host that programs believe to be on, unless told otherwise: the first of `planHost`. */
export const TEST_HOST: HostFacts = {
  nodeIP: '192.168.77.1',
  hostDevice: { ifindex: 2, address: '10.244.1.1' },
  uplinks: [{ ifindex: 3 }],
  podMtu: 1442,
}

export interface TestRunOptions {
  /** Of the pod's device, the host's device or the uplink; default: that of {@link TEST_HOST} which fits the program. Pods' must be said. */
  readonly ifindex?: number
  /** The device that a packet came in by which the host's stack forwards; absent: the stack's own packet. */
  readonly forwardedFrom?: number
  /** Makes the frame a large one, to be cut into segments of so many bytes of payload. */
  readonly segmentBytes?: number
  /** XDP: the frame's buffer has so many bytes in its first piece, and the rest in others. From Linux 6.18 on; EINVAL before. */
  readonly firstPieceBytes?: number
  /** Whose it is said to be at an uplink: a shaper's number; absent: the host's own. */
  readonly shaper?: number
  /** What the clock shows, nanoseconds; absent: the kernel's own. */
  readonly nowNs?: bigint
  /** Departure that the socket asked for, nanoseconds. */
  readonly askedNs?: bigint
  /** Length of all segments on the wire, and their number: as of a large packet whose payload is not there. At most 65,536. */
  readonly wireBytes?: number
  readonly segments?: number
  readonly priority?: number
  /** How often the program runs; default once. What it says is of the last time. */
  readonly repeat?: number
}

export interface TestVerdict {
  /** `pass`: to the next hook, in the end to the host's stack. */
  readonly verdict: 'pass' | 'drop' | 'redirect'
  /** `None` unless dropped. */
  readonly reason: DropReason
  /** Rule that denied. */
  readonly rule: number
  /** Device that a redirect leads to; 0 without. */
  readonly target: number
  /** The frame as the program left it. */
  readonly frame: Buffer
  /** Look-ups in hash tables and tries; accounts are not counted. */
  readonly lookups: number
  /** Whose it was said to be, by from_pod; 0: nobody's. */
  readonly shaper: number
  /** When it departs; 0n: at once. */
  readonly departureNs: bigint
  readonly priority: number
  /** Mean of all runs. */
  readonly durationNs: number
}

export interface TestDataplane {
  readonly tables: DataplaneTables
  run(program: ProgramName, frame: Uint8Array, options?: TestRunOptions): TestVerdict
  /** Samples that the programs wrote since the last call. */
  readDrops(): DropEvent[]
  /** Flows that are known, with keys as the programs write them. */
  listFlows(): FlowRecord[]
  map(name: string): BpfMap
  /** As if it had just been opened, but for Services; the verifier takes half a second of processor for all programs, and ten times that in an emulated machine. */
  reset(): void
  close(): void
}

/** What {@link TestDataplane.reset} empties. */
const EMPTIED_TABLES = [
  ['endpoints', 'devices', 'routes', 'nodes', 'networks', 'egresses', 'aliases', 'own_blocks', 'identities'],
  ['pairs', 'lists', 'cidrs', 'ct', 'fragments', 'rule_hits'],
].flat()
/** Arrays: their values become zero. */
const ZEROED_TABLES = ['.data.state', 'drops', 'log_budgets']

export interface FlowRecord {
  readonly key: ReturnType<typeof ctKey.decode>
  readonly entry: CtEntryRecord
}

/** `struct trace` of bpf/maps.h. */
const trace = struct('trace', {
  lookups: u32,
  reason: u32,
  rule: u32,
  target: u32,
  device: u32,
  mapping: u32,
  now: u64,
})
const QUIET = { lookups: 0, reason: 0, rule: 0, target: 0 }

/** Objects stay from run to run, a folder for each version of the sources. */
const OBJECTS = join(import.meta.dirname, '../../../../build/bpf')

/** Folder of the objects that {@link openTestDataplane} loads; compiled when nobody has yet. */
export function buildTracedPrograms(): Promise<string> {
  return buildPrograms({ outDir: OBJECTS, trace: true })
}

/** Loads the programs as tests build them. `maxEntries`: sizes of tables, see bpf/maps.h. */
export async function openTestDataplane(
  options: { readonly host?: HostFacts; readonly maxEntries?: ReadonlyMap<string, number> } = {},
): Promise<TestDataplane> {
  const folder = await buildTracedPrograms()
  const { host = TEST_HOST, maxEntries } = options
  const programs = openPrograms({ folder, ...(maxEntries === undefined ? {} : { maxEntries }) })
  let tables = openTables(programs, host)
  const account = mapSharedMemory(programs.map('.data.trace').fd, trace.size)
  const view = new DataView(account.bytes)
  const ring = openRingBuffer(programs.map('drop_log').fd)
  return {
    get tables() {
      return tables
    },
    run(name, frame, runOptions = {}) {
      trace.write(view, 0, {
        ...QUIET,
        device: runOptions.ifindex ?? defaultDevice(name, host),
        mapping: runOptions.shaper === undefined ? 0 : SHAPER_TAG | runOptions.shaper,
        now: runOptions.nowNs ?? 0n,
      })
      const isXdp = name === 'from_uplink_xdp'
      const pieces = encodePieces(runOptions)
      const context = isXdp ? pieces : { context: encodeContext(runOptions) }
      const { repeat = 1 } = runOptions
      const run = testRunProgram(programs.programFd(name), { frame, repeat, ...context })
      const { lookups, reason, rule, target, mapping } = trace.read(view, 0)
      const verdict = readVerdict(name, run.result)
      return {
        verdict,
        reason: DROP_REASONS[reason] ?? 'None',
        rule,
        target: verdict === 'redirect' ? target : 0,
        frame: run.frame,
        lookups,
        durationNs: run.durationNs,
        shaper: mapping & ~SHAPER_TAG,
        departureNs: isXdp ? 0n : run.context.readBigUInt64LE(SK_BUFF_TSTAMP),
        priority: isXdp ? 0 : run.context.readUInt32LE(SK_BUFF_PRIORITY),
      }
    },
    readDrops: () => ring.read().map(decodeDrop),
    listFlows: () =>
      programs
        .map('ct')
        .entries()
        .map(([key, entry]) => ({ key: ctKey.decode(key), entry: ctEntry.decode(entry) })),
    map: (name) => programs.map(name),
    reset() {
      tables.close()
      for (const table of EMPTIED_TABLES.map((name) => programs.map(name))) table.deleteMany(table.keys())
      for (const table of ZEROED_TABLES.map((name) => programs.map(name)))
        for (const key of table.keys()) table.set(key, Buffer.alloc(table.valueBytes))
      ring.read()
      tables = openTables(programs, host)
    },
    close() {
      ring.close()
      account.close()
      tables.close()
      programs.close()
    },
  }
}

function defaultDevice(name: ProgramName, host: HostFacts): number {
  if (name === 'from_loopback') return 1
  return name === 'from_host' ? host.hostDevice.ifindex : (host.uplinks[0]?.ifindex ?? 0)
}

/** Source: include/uapi/linux/bpf.h, `struct __sk_buff`. */
const SK_BUFF_BYTES = 192
const SK_BUFF_PRIORITY = 32
const SK_BUFF_INGRESS_IFINDEX = 36
const SK_BUFF_TSTAMP = 152
const SK_BUFF_WIRE_LEN = 160
const SK_BUFF_GSO_SEGS = 164
const SK_BUFF_GSO_SIZE = 176

function encodeContext(options: TestRunOptions): Buffer {
  const { forwardedFrom = 0, segmentBytes = 0, segments = segmentBytes === 0 ? 0 : 1 } = options
  const context = Buffer.alloc(SK_BUFF_BYTES)
  context.writeUInt32LE(options.priority ?? 0, SK_BUFF_PRIORITY)
  context.writeUInt32LE(forwardedFrom, SK_BUFF_INGRESS_IFINDEX)
  context.writeBigUInt64LE(options.askedNs ?? 0n, SK_BUFF_TSTAMP)
  context.writeUInt32LE(options.wireBytes ?? 0, SK_BUFF_WIRE_LEN)
  context.writeUInt32LE(segmentBytes, SK_BUFF_GSO_SIZE)
  context.writeUInt32LE(segments, SK_BUFF_GSO_SEGS)
  return context
}

/** Source: include/uapi/linux/bpf.h, `struct xdp_md`; net/bpf/test_run.c says what of it counts. */
const XDP_MD_BYTES = 24
const XDP_MD_DATA_END = 4

function encodePieces({ firstPieceBytes }: TestRunOptions): { context?: Buffer } {
  if (firstPieceBytes === undefined) return {}
  const context = Buffer.alloc(XDP_MD_BYTES)
  context.writeUInt32LE(firstPieceBytes, XDP_MD_DATA_END)
  return { context }
}

/** Of tcx: next, drop, redirect; of XDP: drop, pass, redirect. Source: include/uapi/linux/bpf.h. */
const TCX_VERDICTS: Readonly<Record<number, TestVerdict['verdict']>> = { [-1]: 'pass', 2: 'drop', 7: 'redirect' }
const XDP_VERDICTS: Readonly<Record<number, TestVerdict['verdict']>> = { 1: 'drop', 2: 'pass', 4: 'redirect' }

function readVerdict(name: ProgramName, result: number): TestVerdict['verdict'] {
  const verdict = (name === 'from_uplink_xdp' ? XDP_VERDICTS : TCX_VERDICTS)[result]
  if (verdict === undefined) throw new Error(`Program ${name} returned ${result}, which is no verdict of its hook`)
  return verdict
}
