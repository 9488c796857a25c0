import type { BenchResult } from './bench.ts'

/** The results as a table for people. */
export function formatTable(results: readonly BenchResult[]): string {
  const header = ['metric', 'value', 'peer', 'ratio', 'target', '']
  const rows = results.map((result) => [
    result.metric,
    `${formatNumber(result.value)} ${result.unit}`,
    result.peer === undefined ? '' : `${result.peer}: ${formatNumber(result.peerValue ?? null)}`,
    result.ratio === undefined ? '' : `${result.ratio} ×`,
    result.target ?? '',
    result.failure ?? (result.meets === undefined ? '' : result.meets ? 'meets' : 'MISSES'),
  ])
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]!.length)))
  const format = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd()
  return [format(header), ...rows.map(format)].join('\n')
}

function formatNumber(value: number | null): string {
  return value === null ? 'failed' : value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 })
}
