interface Family {
  /** `# HELP` and `# TYPE` lines. */
  readonly comments: string[]
  readonly samples: string[]
}

/** One partition's metrics in Prometheus' text format. */
export interface PartMetrics {
  readonly partition: string
  readonly text: string
}

/**
 * Puts partitions' metrics together: each sample gets the label `partition`, and each family appears once, as the format demands. Lines
 * that are no samples are left out. Pure. Source: Prometheus' exposition format 0.0.4.
 */
export function mergeMetrics(parts: readonly PartMetrics[]): string {
  const families = new Map<string, Family>()
  for (const { partition, text } of parts) {
    let current = ''
    for (const line of text.split('\n')) {
      const comment = /^# (HELP|TYPE) (\S+)/.exec(line)
      if (comment !== null) {
        current = comment[2]!
        const { comments } = familyOf(families, current)
        if (!comments.some((known) => known.startsWith(`# ${comment[1]!} `))) comments.push(line)
        continue
      }
      const sample = labelSample(line, partition)
      if (sample === undefined) continue
      const name = /^[^{\s]+/.exec(line)![0]
      familyOf(families, belongsTo(name, current) ? current : name).samples.push(sample)
    }
  }
  const lines = [...families.values()].flatMap(({ comments, samples }) => [...comments, ...samples])
  return `${lines.join('\n')}\n`
}

function familyOf(families: Map<string, Family>, name: string): Family {
  let family = families.get(name)
  if (family === undefined) families.set(name, (family = { comments: [], samples: [] }))
  return family
}

/** Histograms and summaries have samples with these endings. */
function belongsTo(sample: string, family: string): boolean {
  return (
    sample === family ||
    (family !== '' &&
      /^_(bucket|sum|count|created|total)$/.test(sample.slice(family.length)) &&
      sample.startsWith(family))
  )
}

/** `name{a="b"} 1` or `name 1`, with one more label; undefined for other lines. */
function labelSample(line: string, partition: string): string | undefined {
  const match = /^([a-zA-Z_:][\w:]*)(\{.*\})?(\s+\S.*)$/.exec(line)
  if (match === null) return undefined
  const [, name, labels = '{}', value] = match
  const inner = labels.slice(1, -1).replace(/,\s*$/, '')
  const label = `partition=${JSON.stringify(partition)}`
  return `${name}{${inner === '' ? label : `${label},${inner}`}}${value}`
}
