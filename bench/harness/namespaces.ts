import { spawn } from 'node:child_process'
import type { BenchResult } from './bench.ts'

/** Runs a script that writes its figures as JSON, in mount and network namespaces of its own. Needs root. */
export async function runMain(main: string, parameters: readonly string[]): Promise<readonly BenchResult[]> {
  const namespaces = ['--mount', '--net', '--propagation', 'private']
  const args = [...namespaces, process.execPath, main, ...parameters]
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
