/** One line of a container log file, as CRI runtimes write it: `TIME STREAM TAG CONTENT`. Source: CRI logging design; kubelet kuberuntime/logs. */
export interface LogLine {
  /** RFC 3339 with nanoseconds. */
  readonly time: string
  readonly stream: 'stdout' | 'stderr'
  /** True: the line was cut by the runtime and goes on in the next. */
  readonly partial: boolean
  /** With its newline unless partial. */
  readonly text: string
}

/** Undefined for what is not a log line (empty, torn). */
export function parseLogLine(line: string): LogLine | undefined {
  const first = line.indexOf(' ')
  const second = line.indexOf(' ', first + 1)
  const third = line.indexOf(' ', second + 1)
  if (first <= 0 || second < 0 || third < 0) return undefined
  const stream = line.slice(first + 1, second)
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  const partial = line.slice(second + 1, third).split(':')[0] === 'P'
  const content = line.slice(third + 1)
  return { time: line.slice(0, first), stream, partial, text: partial ? content : `${content}\n` }
}
