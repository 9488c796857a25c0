/** Starts clusters as a test would, one after the other, and prints how long they took, as JSON. */
import { startCluster } from 'centaurus'
import { median } from './measure.ts'

const WARM_STARTS = 5

const first = await startCluster()
const coldMs = performance.now() // the time since the process began
await first.close()
const warmMs: number[] = []
for (let i = 0; i < WARM_STARTS; i++) {
  const began = performance.now()
  const cluster = await startCluster()
  warmMs.push(performance.now() - began)
  await cluster.close()
}
process.stdout.write(JSON.stringify({ coldMs, warmMs: median(warmMs) }))
