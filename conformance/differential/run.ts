/**
 * Sends the same requests to two API servers and reports where their answers differ. By hand, not part of the tests: see
 * ../README.md. `node run.ts FIRST-KUBECONFIG SECOND-KUBECONFIG [--only BATTERY,…] [--out FILE] [--golden FOLDER]`.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { batteries } from './batteries/index.ts'
import { compareTraces, type Difference } from './lib/compare.ts'
import { openConnection } from './lib/connection.ts'
import { createRecorder, type Battery, type Trace } from './lib/trace.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, out: { type: 'string' }, golden: { type: 'string' } },
})
const [first, second] = positionals
if (first === undefined || second === undefined) throw new Error('Give two kubeconfigs')
const run = `z${Date.now().toString(36)}`
const only = values.only?.split(',')
const found: Record<string, readonly Difference[]> = {}
let [compared, differing] = [0, 0]
for (const [name, battery] of Object.entries(batteries({ golden: values.golden }))) {
  if (only !== undefined && !only.includes(name)) continue
  const startedAtMs = Date.now()
  const [a, b] = await Promise.all([record(first, battery, name), record(second, battery, name)])
  const comparison = compareTraces(a, b)
  found[name] = comparison.differences
  compared += comparison.compared
  differing += comparison.differences.length
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1)
  console.log(`${name}: ${comparison.compared} compared, ${comparison.differences.length} differ (${seconds} s)`)
}
console.log(`${compared} compared, ${compared - differing} agree`)
writeFileSync(values.out ?? 'differences.json', JSON.stringify(found, null, 1))

async function record(kubeconfig: string, battery: Battery, name: string): Promise<Trace> {
  const connection = openConnection(kubeconfig)
  const recorder = createRecorder(connection, `${run}${name.slice(0, 2)}`)
  try {
    await battery(recorder)
  } catch (error) {
    recorder.note('(the battery itself)', `${kubeconfig}: ${String(error)}`)
    console.error(`${name} on ${kubeconfig}:`, error)
  } finally {
    connection.close()
  }
  return recorder.trace
}
