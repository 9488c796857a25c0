import {
  type BpfObject,
  BpfMap,
  attachProgram,
  type NetworkNamespace,
  requireBpf,
  countPossibleCpus,
} from '@centaurus/network/testing'
import { loadBenchObject } from './bench-object.ts'
import { OneCore } from './one-core.ts'
import { untilDone } from './run-program.ts'

const LIVE_FRAMES = 2
const BATCH = 64
const TEMPLATE_BYTES = 256
const TEMPLATE_HEAD_BYTES = 16
const SINK_COUNT = 1
const SETTLE_MS_MAX = 2_000
/** A signal ends a run early, and it is made again. */
const PACKETS_A_RUN = 500_000
/** Queues between devices overflow now and then; more than that is a fault of the bench, or of what it measures. */
const ARRIVED_PART_MIN = 0.95

export interface PacketStream {
  readonly from: { readonly namespace: NetworkNamespace; readonly device: string }
  readonly to: { readonly namespace: NetworkNamespace; readonly device: string }
  readonly frame: Buffer
  /** Where a port is that takes so many values. */
  readonly port?: { readonly offset: number; readonly values: number }
}

/** The kernel makes packets, as fast as one core can, and a program counts and drops those that arrive. That core's time is what counts: others may use it too. */
export class PacketBench {
  readonly #object: BpfObject
  readonly #core: OneCore

  constructor(directory: string) {
    this.#object = loadBenchObject('packets', { directory })
    this.#core = new OneCore()
  }

  /** The device's packets end at the counter from now on. */
  attachSink({ namespace, device }: PacketStream['to']): void {
    const programs = this.#object.programs
    namespace.run(() => {
      const ifindex = namespace.ifindex(device)
      // the links hold as long as the process has their descriptors
      attachProgram('xdp', { programFd: programs.get('sink')!, ifindex })
      attachProgram('tcx-ingress', { programFd: programs.get('sink_tc')!, ifindex })
    })
  }

  /** Million packets that arrived for each second of the core's time. Throws when many were lost. */
  measure({ from, frame, port }: Omit<PacketStream, 'to'>, packets: number): number {
    const template = Buffer.alloc(TEMPLATE_HEAD_BYTES + TEMPLATE_BYTES)
    template.writeUInt32LE(from.namespace.ifindex(from.device), 0)
    template.writeUInt32LE(frame.length, 4)
    template.writeUInt32LE(port?.offset ?? 0, 8)
    template.writeUInt32LE(port?.values ?? 0, 12)
    frame.copy(template, TEMPLATE_HEAD_BYTES)
    this.#map('templates').set(Buffer.alloc(4), template)
    return from.namespace.run(() => {
      // each run of the kernel's generator begins and ends with work of its own
      const overheadMs = Math.min(...[1, 2, 3].map(() => this.#run(frame, BATCH).spentMs))
      const runs = Array.from({ length: Math.ceil(packets / PACKETS_A_RUN) }, () =>
        this.#run(frame, Math.min(packets, PACKETS_A_RUN)),
      )
      const spentMs = sum(runs.map((run) => run.spentMs - overheadMs))
      return sum(runs.map(({ arrived }) => arrived)) / spentMs / 1000
    })
  }

  #run(frame: Buffer, packets: number): { spentMs: number; arrived: number } {
    return untilDone(() => {
      const [before, spentBefore] = [this.#arrived(), this.#core.spentMs()]
      this.#send(frame, packets)
      const spentMs = this.#core.spentMs() - spentBefore
      const arrived = this.#awaitArrivals(before, packets)
      if (arrived < packets * ARRIVED_PART_MIN) throw new Error(`${packets - arrived} of ${packets} packets were lost`)
      return { spentMs, arrived }
    })
  }

  #send(frame: Buffer, packets: number): void {
    requireBpf(`send ${packets} packets`, 'testRun', [
      [0, 4, this.#object.programs.get('send')!],
      [8, 4, frame.length],
      [16, 8, frame],
      [32, 4, packets],
      [64, 4, LIVE_FRAMES],
      [72, 4, BATCH],
    ])
  }

  /** What is under way arrives within a moment. */
  #awaitArrivals(before: number, packets: number): number {
    const deadline = performance.now() + SETTLE_MS_MAX
    let arrived = this.#arrived() - before
    while (arrived < packets && performance.now() < deadline) {
      const next = this.#arrived() - before
      if (next === arrived && performance.now() > deadline - SETTLE_MS_MAX / 2) break
      arrived = next
    }
    return arrived
  }

  #arrived(): number {
    const key = Buffer.alloc(4)
    key.writeUInt32LE(SINK_COUNT)
    const values = this.#map('counts').get(key)!
    let sum = 0
    for (let offset = 0; offset < values.length; offset += 8) sum += Number(values.readBigUInt64LE(offset))
    return sum
  }

  #map(name: string): BpfMap {
    return new BpfMap(name, this.#object.maps.get(name)!, countPossibleCpus())
  }

  close(): void {
    this.#core.close()
    this.#object.close()
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
