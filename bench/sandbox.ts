/** The quark runtime against runc and gVisor's runsc in the same run, and against no container at all where that says something. */
import type { Bench, BenchContext, BenchResult } from './harness/bench.ts'
import { measureCalls } from './sandbox/calls.ts'
import { measureDensity } from './sandbox/density.ts'
import { measureHibernate } from './sandbox/hibernate.ts'
import { measureMemory } from './sandbox/memory.ts'
import { measurePrograms } from './sandbox/programs.ts'
import { findRuntimes, type Runtime } from './sandbox/runtimes.ts'
import { measureStart } from './sandbox/start.ts'

type Measure = (context: BenchContext, runtimes: readonly [Runtime, ...Runtime[]]) => Promise<BenchResult[]>

const PARTS: Readonly<Record<string, Measure>> = {
  start: measureStart,
  memory: measureMemory,
  calls: measureCalls,
  apps: measurePrograms,
  density: measureDensity,
  hibernate: measureHibernate,
}

export const bench: Bench = {
  summary: 'sandboxes of quark against runc and gVisor: start, memory, system calls, programs, starts at once, sleep',
  parts: Object.keys(PARTS),
  async run(context) {
    if (process.getuid?.() !== 0) throw new Error('Cannot measure sandboxes: run it as root')
    const runtimes = await findRuntimes(context.log)
    const results: BenchResult[] = []
    for (const part of context.parts) results.push(...(await PARTS[part]!(context, runtimes)))
    return results
  },
}
