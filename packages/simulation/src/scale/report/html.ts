import type { ProcessRole } from '../measure/processes.ts'
import type { TimelinePoint } from '../run/timeline.ts'
import type { ScaleReport } from './report.ts'
import { escapeText, formatNumber, plot, type Series } from './svg.ts'

const COLORS = ['#2563eb', '#dc2626', '#16a34a', '#d97706', '#7c3aed', '#0891b2', '#64748b']
const MIB = 1024 * 1024

/** The report as one page that needs nothing else. */
export function renderHtml(report: ScaleReport): string {
  const { topology, nodes, pods, seed } = report
  const title = `${formatNumber(nodes)} nodes, ${formatNumber(pods)} pods, ${topology.tps} × ${topology.rps} partitions`
  const sections = [
    `<h1>${title}</h1>`,
    `<p>Density and load test of ${Math.round(report.durationSeconds)} s, seed ${seed}, everything on this machine: API servers, stores, schedulers, controllers, and the load itself.</p>`,
    table(
      ['', 'measured', 'limit', ''],
      report.verdicts.map(({ name, kind, measured, limit, unit, meets }) => [
        `${name} <small>${kind === 'slo' ? 'Kubernetes SLO' : 'our target'}</small>`,
        `${formatNumber(measured)} ${unit}`,
        `${formatNumber(limit)} ${unit}`,
        meets ? '<b class="yes">meets</b>' : '<b class="no">misses</b>',
      ]),
    ),
    '<h2>Over time</h2>',
    ...renderPlots(report),
    '<h2>Figures</h2>',
    table(['', ''], figures(report)),
    '<h2>API latency as clients saw it, while pods were timed and churned</h2>',
    latencyTable(report.apiLatency),
    '<h2>API latency at saturation, where calls wait in line</h2>',
    latencyTable(report.apiLatencySaturation),
    '<h2>Processes</h2>',
    table(
      ['', 'role', 'CPU s', 'resident MB', 'anonymous MB', 'written MB'],
      report.memory.processes.map((process) => [
        process.name,
        process.role,
        ...[
          process.cpuSeconds,
          process.residentBytes / MIB,
          process.anonymousBytes / MIB,
          process.writtenBytes / MIB,
        ].map(formatNumber),
      ]),
    ),
    '<h2>Cost by role</h2>',
    costTable(report),
    '<h2>Checks</h2>',
    table(
      ['', ''],
      Object.entries(report.check)
        .filter(([, value]) => typeof value === 'number')
        .map(([name, value]) => [name, formatNumber(value as number)]),
    ),
    ...[...report.check.examples, ...report.problems].map((text) => `<p class="no">${escapeText(text)}</p>`),
    refusals(report),
  ]
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><style>${STYLE}</style><body>${sections.join('\n')}</body></html>\n`
}

function latencyTable(rows: ScaleReport['apiLatency']): string {
  return table(
    ['', 'calls', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms'],
    rows.map(({ verb, resource, count, p50, p90, p99, max }) => [
      `${verb} ${escapeText(resource)}`,
      ...[count, p50 * 1000, p90 * 1000, p99 * 1000, max * 1000].map(formatNumber),
    ]),
  )
}

const STYLE = `
body{font:14px/1.45 system-ui,sans-serif;max-width:960px;margin:24px auto;padding:0 16px;color:#0f172a}
h1{font-size:24px}h2{font-size:17px;margin:28px 0 8px}small{color:#64748b}
table{border-collapse:collapse;width:100%}td,th{padding:3px 10px 3px 0;border-bottom:1px solid #e2e8f0;text-align:left}
td:not(:first-child){font-variant-numeric:tabular-nums}
svg{width:100%;font:11px system-ui,sans-serif;margin:6px 0;fill:#475569}.grid{stroke:#e2e8f0}.mark{stroke:#cbd5e1;stroke-dasharray:3 3}
.note{font-size:9px;fill:#94a3b8}.title{font-weight:600;font-size:13px;fill:#0f172a}.yes{color:#15803d}.no{color:#b91c1c}
@media(prefers-color-scheme:dark){body{background:#0f172a;color:#e2e8f0}td,th{border-color:#334155}.grid{stroke:#334155}.title{fill:#e2e8f0}svg{fill:#94a3b8}.mark{stroke:#475569}}
`

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.some((text) => text !== '') ? `<tr>${heads.map((text) => `<th>${text}</th>`).join('')}</tr>` : ''
  return `<table>${head}${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('')}</table>`
}

function figures(report: ScaleReport): string[][] {
  const { podStartup, saturationStartup } = report
  return [
    [
      'Pod startup p50 / p90 / p99',
      `${[podStartup.p50, podStartup.p90, podStartup.p99].map(formatNumber).join(' / ')} s of ${formatNumber(podStartup.count)} timed pods`,
    ],
    [
      'Pod startup while everything starts at once',
      `${[saturationStartup.p50, saturationStartup.p90, saturationStartup.p99].map(formatNumber).join(' / ')} s of ${formatNumber(saturationStartup.count)} pods of one namespace`,
    ],
    [
      'Pods a second at saturation',
      `${formatNumber(report.podsPerSecond)}, best ten seconds ${formatNumber(report.podsPerSecondPeak)}`,
    ],
    [
      'Leases a second',
      `${formatNumber(report.leasesPerSecond)}, ${formatNumber(report.leasesLate)} late over the run`,
    ],
    [
      'For each pod: messages, bytes on connections',
      `${formatNumber(report.messagesPerPod)}, ${formatNumber(report.bytesPerPod)}`,
    ],
    [
      'For each pod: commits, flushes, bytes to disk',
      [report.commitsPerPod, report.flushesPerPod, report.diskBytesPerPod].map(formatNumber).join(', '),
    ],
    [
      'For each lease: bytes on connections, flushes, bytes to disk',
      [report.bytesPerLease, report.flushesPerLease, report.diskBytesPerLease].map(formatNumber).join(', '),
    ],
    [
      'Memory a node, a pod',
      `${formatNumber(report.memory.bytesPerNode / 1024)} KB, ${formatNumber(report.memory.bytesPerPod / 1024)} KB`,
    ],
    ['Conflicts', formatNumber(report.conflicts)],
  ]
}

function costTable({ cpu, memory }: ScaleReport): string {
  const roles = Object.keys(cpu.secondsByRole)
  const cell = (values: Readonly<Record<string, number>>, role: string, scale = 1): string =>
    formatNumber((values[role] ?? 0) / scale)
  return table(
    ['', 'CPU s', 'cores, heartbeats', 'µs a lease', 'cores, saturation', 'ms a pod', 'KB a node', 'KB a pod'],
    roles.map((role) => [
      role,
      cell(cpu.secondsByRole, role),
      cell(cpu.idleCoresByRole, role),
      cell(cpu.microsecondsPerLeaseByRole, role),
      cell(cpu.saturationCoresByRole, role),
      cell(cpu.millisecondsPerPodByRole, role),
      cell(memory.bytesPerNodeByRole, role, 1024),
      cell(memory.bytesPerPodByRole, role, 1024),
    ]),
  )
}

function refusals({ refusals: counts }: ScaleReport): string {
  const rows = Object.entries(counts).toSorted((a, b) => b[1] - a[1])
  if (rows.length === 0) return ''
  return `<h2>Calls of nodes that were refused, and made again</h2>${table(
    ['', ''],
    rows.map(([name, count]) => [escapeText(name), formatNumber(count)]),
  )}`
}

function renderPlots({ timeline }: ScaleReport): string[] {
  const seconds = timeline.map((point) => point.seconds)
  const marks = timeline.flatMap(({ seconds: at, phase }, i) =>
    timeline[i - 1]?.phase === phase ? [] : [{ seconds: at, text: phase }],
  )
  const roles = [...new Set(timeline.flatMap((point) => Object.keys(point.roles)))] as ProcessRole[]
  const byRole = (value: (point: TimelinePoint, role: ProcessRole, i: number) => number): Series[] =>
    roles.map((role, i) => ({
      name: role,
      color: COLORS[i % COLORS.length]!,
      values: timeline.map((point, at) => value(point, role, at)),
    }))
  const line = (name: string, values: readonly number[]): Series[] => [{ name, color: COLORS[0]!, values }]
  return [
    plot({
      title: 'Pods running',
      unit: '',
      seconds,
      marks,
      series: line(
        'pods',
        timeline.map(({ running }) => running),
      ),
    }),
    plot({
      title: 'Pods started',
      unit: 'a second',
      seconds,
      marks,
      series: line(
        'pods/s',
        rates(timeline, ({ podsStarted }) => podsStarted),
      ),
    }),
    plot({
      title: 'Leases renewed',
      unit: 'a second',
      seconds,
      marks,
      series: line(
        'leases/s',
        rates(timeline, ({ leases }) => leases),
      ),
    }),
    plot({
      title: 'CPU',
      unit: 'cores',
      seconds,
      marks,
      series: byRole((_, role, at) => rateAt(timeline, at, (point) => point.roles[role]?.cpuSeconds ?? 0)),
    }),
    plot({
      title: 'Anonymous memory',
      unit: 'MB',
      seconds,
      marks,
      series: byRole((point, role) => (point.roles[role]?.anonymousBytes ?? 0) / MIB),
    }),
  ]
}

const RATE_SAMPLES = 5

function rates(timeline: readonly TimelinePoint[], value: (point: TimelinePoint) => number): number[] {
  return timeline.map((_, at) => rateAt(timeline, at, value))
}

/** Growth a second over the last few samples. */
function rateAt(timeline: readonly TimelinePoint[], at: number, value: (point: TimelinePoint) => number): number {
  const now = timeline[at]!
  const before = timeline[Math.max(0, at - RATE_SAMPLES)]!
  const elapsed = now.seconds - before.seconds
  return elapsed <= 0 ? 0 : Math.max(0, (value(now) - value(before)) / elapsed)
}
