import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Bench, BenchContext, BenchResult } from './harness/bench.ts'

/** Runs in mount and network namespaces of its own, so that nothing of it is left, and nothing of the host's is touched. Needs root. */
export const bench: Bench = {
  summary:
    'pods on one and two hosts, policy and services, against bridge, VXLAN, nftables, ipset and Mizar’s look-ups',
  run,
}

async function run(context: BenchContext): Promise<readonly BenchResult[]> {
  if (process.getuid?.() !== 0) throw new Error('Cannot measure the network: run it as root')
  const main = fileURLToPath(new URL('network/main.ts', import.meta.url))
  const namespaces = ['--mount', '--net', '--propagation', 'private']
  const args = [...namespaces, process.execPath, main, String(context.rounds), context.directory]
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0)
    throw new Error(`The bench failed in its namespaces (exit code ${String(code)}); what it said is above`)
  return JSON.parse(output) as BenchResult[]
}
