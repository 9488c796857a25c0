/**
 * Positions in several partitions as one opaque resourceVersion: `rp0_123~rp1_456`. No name of a partition holds `_` or `~`, and both
 * need no escape in a URL. A partition's own resourceVersion never looks so.
 */
export type CompositeVersion = ReadonlyMap<string, string>

const PAIR = '_'
const SEPARATOR = '~'
/** Beyond what any number of partitions needs that one gateway serves. */
const LENGTH_MAX = 64 * 1024

export function formatVersion(version: CompositeVersion): string {
  const parts = [...version].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return parts.map(([partition, own]) => `${partition}${PAIR}${own}`).join(SEPARATOR)
}

/** Undefined when the text is no composite. */
export function parseVersion(text: string): CompositeVersion | undefined {
  if (!text.includes(PAIR) || text.length > LENGTH_MAX) return undefined
  const version = new Map<string, string>()
  for (const part of text.split(SEPARATOR)) {
    const match = /^([a-z0-9][a-z0-9.-]*)_([0-9]+)$/.exec(part)
    if (match === null || version.has(match[1]!)) return undefined
    version.set(match[1]!, match[2]!)
  }
  return version
}
