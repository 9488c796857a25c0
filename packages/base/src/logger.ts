/** Values that a log line carries beside its constant message. `error` may hold any thrown value. */
export type LogFields = Readonly<Record<string, unknown>>

/** Structured log: a constant message (capital first, no full stop), then fields. Passed in, narrowed once a work item. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger
}

/** Drops everything. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
}
