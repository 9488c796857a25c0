/** What a reader asks of a container's log. Source: core/v1 PodLogOptions. */
export interface LogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  /** Milliseconds since the epoch; undefined: from the start. */
  readonly sinceMs: number | undefined
  readonly tailLines: number | undefined
  readonly limitBytes: number | undefined
  readonly stream: 'stdout' | 'stderr' | undefined
}

/** Reads the query of `/containerLogs`; throws `SyntaxError` with what is wrong. */
export function parseLogOptions(query: URLSearchParams, nowMs: number): LogOptions {
  const number = (name: string, least: number): number | undefined => {
    const text = query.get(name)
    if (text === null || text === '') return undefined
    const value = Number(text)
    if (!Number.isInteger(value) || value < least)
      throw new SyntaxError(`${name}: Invalid value: "${text}": must be an integer of at least ${least}`)
    return value
  }
  const sinceSeconds = number('sinceSeconds', 1)
  const sinceTime = query.get('sinceTime')
  const sinceMs =
    sinceSeconds !== undefined
      ? nowMs - sinceSeconds * 1000
      : sinceTime === null || sinceTime === ''
        ? undefined
        : Date.parse(sinceTime)
  if (Number.isNaN(sinceMs)) throw new SyntaxError(`sinceTime: Invalid value: "${sinceTime}"`)
  const stream = query.get('stream')
  return {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    sinceMs,
    tailLines: number('tailLines', 0),
    limitBytes: number('limitBytes', 1),
    stream: stream === 'Stdout' ? 'stdout' : stream === 'Stderr' ? 'stderr' : undefined,
  }
}

/** As Go's strconv.ParseBool takes it. */
export function isTrue(text: string | null): boolean {
  return text !== null && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)
}
