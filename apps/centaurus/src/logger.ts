import { writeSync } from 'node:fs'
import { pino, type Logger as PinoLogger } from 'pino'
import type { LogFields, Logger } from '@centaurus/base'

/** Structured lines on standard output, in JSON; `level` as pino names them. */
export function createLogger(level = 'info'): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: describeError } }
  return wrap(pino(options, { write: writeLine }))
}

const STDOUT = 1
const BUSY_WAIT_MS = 10
/** A reader that takes nothing for so long loses the line. */
const BUSY_WAITS_MAX = 100

/** A line that can't be written, as on a full disk, is lost, and the program goes on: pino's own destination would stand still, or end it. */
function writeLine(line: string): void {
  let left = Buffer.from(line)
  for (let waits = 0; left.length > 0;) {
    try {
      left = left.subarray(writeSync(STDOUT, left))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || waits++ === BUSY_WAITS_MAX) return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_WAIT_MS)
    }
  }
}

function wrap(logger: PinoLogger): Logger {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    with: (fields: LogFields) => wrap(logger.child(fields)),
  }
}

/** Depth to which causes are followed. */
const CAUSES_MAX = 5

function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error
  const described: Record<string, unknown> = { name: error.name, message: error.message, stack: error.stack }
  if (error.cause !== undefined && depth < CAUSES_MAX) described['cause'] = describeError(error.cause, depth + 1)
  return described
}
