/** What `bench/network.ts` starts inside of namespaces: measures every part, and prints the results as JSON. */
import { isolateHost } from '@centaurus/node/testing'
import type { BenchContext, BenchResult } from '../harness/bench.ts'
import { measureCni } from './cni.ts'
import { measurePaths } from './paths.ts'
import { measurePackets } from './packets.ts'
import { measurePolicies } from './policies.ts'
import { measureRates } from './rates.ts'
import { measureScale } from './scale.ts'
import { measureWalls } from './walls.ts'

const PARTS: Readonly<Record<string, (context: BenchContext) => Promise<readonly BenchResult[]>>> = {
  paths: measurePaths,
  packets: measurePackets,
  rates: measureRates,
  walls: measureWalls,
  scale: measureScale,
  policies: measurePolicies,
  cni: measureCni,
}

const [rounds, directory] = process.argv.slice(2)
const context: BenchContext = {
  rounds: Number(rounds),
  parts: [],
  quick: false,
  directory: directory!,
  log: (message) => void process.stderr.write(`${message}\n`),
}
const chosen = process.env['BENCH_NETWORK']?.split(',') ?? Object.keys(PARTS)

isolateHost()
const results: BenchResult[] = []
for (const name of chosen) {
  const part = PARTS[name]
  if (part === undefined)
    throw new Error(`Cannot measure "${name}": BENCH_NETWORK takes ${Object.keys(PARTS).join(', ')}`)
  results.push(...(await part(context)))
}
process.stdout.write(JSON.stringify(results))
