/** Completion indexes as sorted text such as `1,3-5`, which is how a Job's status keeps them. Source: indexed_job_utils.go v1.37. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].toSorted((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length; i++) {
    const first = sorted[i]!
    while (i + 1 < sorted.length && sorted[i + 1]! <= sorted[i]! + 1) i++
    const last = sorted[i]!
    parts.push(first === last ? String(first) : last === first + 1 ? `${first},${last}` : `${first}-${last}`)
  }
  return parts.join(',')
}

/** Indexes below `completions`; what can't be read is left out. */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const last = Math.min(Number(match[2] ?? match[1]), completions - 1)
    for (let index = Number(match[1]); index <= last; index++) indexes.add(index)
  }
  return indexes
}
