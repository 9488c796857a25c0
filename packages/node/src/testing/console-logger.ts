import { format } from 'node:util'

import type { LogFields, Logger } from '@centaurus/base'

/** Writes to standard error; for looking into a failing test. */
export const consoleLogger: Logger = createConsoleLogger({})

function createConsoleLogger(fixed: LogFields): Logger {
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void process.stderr.write(`${level} ${format(message, { ...fixed, ...fields })}\n`)
  return {
    debug: () => {},
    info: write('I'),
    warn: write('W'),
    error: write('E'),
    with: (fields) => createConsoleLogger({ ...fixed, ...fields }),
  }
}
