import { fileURLToPath } from 'node:url'
import type { Bench, BenchContext, BenchResult } from './harness/bench.ts'
import { runMain } from './harness/namespaces.ts'

/** Runs in mount and network namespaces of its own, so that nothing of it is left, and nothing of the host's is touched. Needs root. */
export const bench: Bench = {
  summary:
    'pods on one and two hosts, policy and services, against bridge, VXLAN, nftables, ipset and Mizar’s look-ups',
  run,
}

async function run(context: BenchContext): Promise<readonly BenchResult[]> {
  if (process.getuid?.() !== 0) throw new Error('Cannot measure the network: run it as root')
  const main = fileURLToPath(new URL('network/main.ts', import.meta.url))
  return runMain(main, [String(context.rounds), context.directory])
}
