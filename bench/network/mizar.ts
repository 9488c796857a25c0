import { median } from '../harness/measure.ts'
import { loadBenchObject } from './bench-object.ts'
import { runProgram } from './run-program.ts'

const PODS = 1_000
const REPEAT = 400_000
const RUNS = 9

/** Nanoseconds of Mizar's chain of look-ups over 1,000 pods, without the choice of the pod. */
export function measureMizar(directory: string): number {
  const object = loadBenchObject('mizar', { directory })
  try {
    const frame = Buffer.alloc(64)
    const run = (program: string, repeat: number): number => {
      const { verdict, durationNs } = runProgram({ programFd: object.programs.get(program)!, frame, repeat })
      if (verdict !== XDP_PASS) throw new Error(`${program} returned ${verdict}: a look-up found nothing`)
      return durationNs
    }
    run('mizar_fill', PODS)
    const samples = Array.from({ length: RUNS }, () => run('mizar_chain', REPEAT) - run('mizar_baseline', REPEAT))
    return median(samples)
  } finally {
    object.close()
  }
}

const XDP_PASS = 2
