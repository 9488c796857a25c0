import type { Clock, LogFields, Logger } from '@centaurus/base'

/** Lines that a failure shows. */
const LINES_MAX = 400
/** A line that is among so many last ones already says nothing new. */
const REPEATS_WITHIN_LINES = 30

/** What happened in a run, a line an action, the last ones kept. */
export interface Transcript {
  add(line: string): void
  /** A logger that writes warnings and errors of `part` into it. */
  logger(part: string): Logger
  toString(): string
}

export function createTranscript(clock: Clock): Transcript {
  const lines: string[] = []
  const recent: string[] = []
  const add = (line: string): void => {
    if (recent.includes(line)) return
    recent.push(line)
    if (recent.length > REPEATS_WITHIN_LINES) recent.shift()
    lines.push(`${(clock.monotonicMs() / 1000).toFixed(3).padStart(9)} ${line}`)
    if (lines.length > LINES_MAX) lines.shift()
  }
  const logger = (part: string, known: LogFields = {}): Logger => {
    const write =
      (level: string) =>
      (message: string, fields: LogFields = {}): void =>
        add(`  [${part}] ${level} ${message} ${describe({ ...known, ...fields })}`)
    const ignore = (): void => {}
    return {
      debug: ignore,
      info: ignore,
      warn: write('warn'),
      error: write('error'),
      with: (fields) => logger(part, { ...known, ...fields }),
    }
  }
  return { add, logger: (part) => logger(part), toString: () => lines.join('\n') }
}

function describe(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([name]) => name !== 'attempt')
    .map(([name, value]) => `${name}=${value instanceof Error ? value.message : String(value)}`)
    .join(' ')
}
