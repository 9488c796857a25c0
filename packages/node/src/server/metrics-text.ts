/** One family of the Prometheus text format. */
export interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  /** After the family's name, of a histogram: `_bucket`, `_sum` or `_count`. */
  readonly suffix?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly value: number
  /** When it was measured, ms since the epoch; absent: now. */
  readonly timeMs?: number | undefined
}

/** Families without samples are left out, as Prometheus' own client does. */
export function formatMetrics(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, type, help, samples }) =>
    samples.length === 0
      ? []
      : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((sample) => formatSample(name, sample))],
  )
  return `${lines.join('\n')}\n`
}

function formatSample(name: string, { suffix = '', labels = {}, value, timeMs }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`)
  const time = timeMs === undefined ? '' : ` ${timeMs}`
  return `${name}${suffix}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}${time}`
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
