/** `node bench/qos/plot.ts docs/qos`, as root: draws what docs/qos.md shows. In virtual time, so that it draws the same anywhere. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openTestDataplane, type TestDataplane } from '@centaurus/network/testing'
import { plotTimes } from '../harness/plot.ts'
import { rateOf, shareLink } from './classes.ts'
import { runLimits, streamWaits } from './limits.ts'
import { MS } from './shape.ts'

/** Of time, one point. */
const STEP_MS = 50
/** The longest waits are those of one clock with a long horizon: the plot ends where the others can be seen. */
const WAIT_MS_MAX = 100

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('Name the folder to draw into')
mkdirSync(directory, { recursive: true })
const host = await openTestDataplane()
try {
  writeFileSync(join(directory, 'waits.svg'), drawWaits(host))
  writeFileSync(join(directory, 'classes.svg'), drawClasses(host))
} finally {
  host.close()
}

/** The longest wait of each stretch. */
function drawWaits(from: TestDataplane): string {
  const lines = [...runLimits(from)].map(([name, passed]) => {
    const steps = new Map<number, number>()
    for (const { atMs, waitMs } of streamWaits(passed)) {
      const x = Math.floor(atMs / STEP_MS) * STEP_MS
      steps.set(x, Math.max(steps.get(x) ?? 0, Math.min(waitMs, WAIT_MS_MAX)))
    }
    return { label: name.replace(' (model)', ''), points: [...steps].map(([x, y]) => ({ x: x / 1e3, y })) }
  })
  const yLabel = `ms that packets wait, ${WAIT_MS_MAX} and more at the top`
  return plotTimes({ title: 'A stream of TCP at a pod’s limit of 50 Mbit/s', xLabel: 'seconds', yLabel, lines })
}

function drawClasses(from: TestDataplane): string {
  const { banded, startNs } = shareLink(from)
  const endMs = Math.max(...banded.map(({ atNs }) => (atNs - startNs) / MS))
  const starts = Array.from({ length: Math.floor(endMs / STEP_MS) }, (_, i) => i * STEP_MS)
  const lines = ['premium', 'best-effort'].map((name) => {
    const own = banded.filter(({ sender }) => sender === name)
    const points = starts.map((ms) => {
      const fromNs = startNs + ms * MS
      return { x: ms / 1e3, y: rateOf(own, fromNs, fromNs + STEP_MS * MS) / 1e6 }
    })
    return { label: name, points }
  })
  return plotTimes({ title: 'Classes on a link of 100 Mbit/s', xLabel: 'seconds', yLabel: 'Mbit/s', lines })
}
