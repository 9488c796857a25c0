/** `npm run bench -- network --json | node bench/network/plot.ts docs/network-speed`: draws what docs/network-speed.md shows. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchResult } from '../harness/bench.ts'
import { type Bar, type Line, plotBars, plotLines } from '../harness/plot.ts'

interface Wanted {
  readonly title: string
  readonly metric: string
  readonly unit: string
}

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('Name the folder to draw into')
const json = readFileSync(0, 'utf8').trimEnd().split('\n').at(-1)!
const { results } = JSON.parse(json) as { results: BenchResult[] }

mkdirSync(directory, { recursive: true })
draw('packet', bars({ title: 'One packet in the programs', metric: 'ns a packet: ', unit: 'ns' }))
draw('tcp', bars({ title: 'One TCP stream between two pods', metric: 'TCP stream: ', unit: 'Gbit/s' }))
draw('round-trip', bars({ title: 'Round trip of 64 bytes, median', metric: 'UDP round trip: ', unit: 'µs' }))
draw('rate', bars({ title: '64-byte packets on one core', metric: 'packet rate: ', unit: 'Mpps' }))
draw('policies', growth({ title: 'A new TCP connection as policies grow', metric: 'new TCP connection, ', unit: 'µs' }))
draw('programming', growth({ title: 'Time to program policies', metric: 'programming, ', unit: 'ms' }))

/** Metrics are named `PREFIXwhat`; ours begin with "ours". */
function bars({ title, metric: prefix, unit }: Wanted): string | undefined {
  const found = results
    .filter(({ metric }) => metric.startsWith(prefix))
    .map(({ metric, value }): Bar => {
      const label = metric.slice(prefix.length)
      return { label, value: value ?? Number.NaN, isOurs: label.startsWith('ours') }
    })
  return found.length === 0 ? undefined : plotBars({ title, unit, bars: found })
}

/** Metrics are named `PREFIXwho, N policies`. */
function growth({ title, metric, unit }: Wanted): string | undefined {
  const lines = new Map<string, { x: number; y: number }[]>()
  for (const result of results) {
    const found = /^(.*), (\d+) policies$/.exec(
      result.metric.startsWith(metric) ? result.metric.slice(metric.length) : '',
    )
    if (found === null) continue
    const points = lines.get(found[1]!) ?? []
    lines.set(found[1]!, [...points, { x: Number(found[2]), y: result.value ?? Number.NaN }])
  }
  return lines.size === 0
    ? undefined
    : plotLines({
        title,
        xLabel: 'policies',
        unit,
        lines: [...lines].map(([label, points]): Line => ({ label, points })),
      })
}

/** Parts that were not measured are left out. */
function draw(name: string, svg: string | undefined): void {
  if (svg !== undefined) writeFileSync(join(directory!, `${name}.svg`), svg)
}
