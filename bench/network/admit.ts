import type { BpfObject } from '@centaurus/network/testing'
import { median } from '../harness/measure.ts'
import { loadBenchObject } from './bench-object.ts'
import { runProgram } from './run-program.ts'

/** As in admit.bpf.c: packets of one run. */
const ROUNDS = 100
const RUNS = 200
const REPEAT = 20
const XDP_PASS = 2
const XDP_DROP = 1

export interface Admission {
  /** A pod's packet; who it is from and for is said apart from it. */
  readonly frame: Buffer
  readonly vni: number
  readonly identity: number
  readonly set: number
  /** Packets are of so many flows in turn; 1: always the same one. */
  readonly flows: number
}

/** Policy and connection tracking of one packet, without anything else. */
export class AdmitBench {
  readonly #object: BpfObject

  constructor(options: { readonly directory: string; readonly maps: ReadonlyMap<string, number> }) {
    this.#object = loadBenchObject('admit', options)
  }

  /** Nanoseconds a packet: the median of many runs, without what the loop alone takes. Flows that are allowed are established before. */
  measure(admission: Admission): number {
    for (let begun = 0; begun < admission.flows; begun += ROUNDS * REPEAT) this.#run(admission, 'measured')
    const samples = Array.from(
      { length: RUNS },
      () => this.#run(admission, 'measured') - this.#run(admission, 'baseline'),
    )
    return median(samples) / ROUNDS
  }

  #run({ frame, vni, identity, set, flows }: Admission, what: 'measured' | 'baseline'): number {
    const known = Buffer.from(
      new Uint32Array([vni, identity, set, flows === 1 ? 0 : flows, what === 'baseline' ? 1 : 0]).buffer,
    )
    const programFd = this.#object.programs.get('admit_many')!
    const { verdict, durationNs } = runProgram({ programFd, frame: Buffer.concat([frame, known]), repeat: REPEAT })
    if (verdict !== XDP_PASS && verdict !== XDP_DROP) throw new Error(`The program returned ${verdict}`)
    return durationNs
  }

  close(): void {
    this.#object.close()
  }
}
