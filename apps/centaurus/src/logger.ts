import { pino, type Logger as PinoLogger } from 'pino'
import type { LogFields, Logger } from '@centaurus/base'

/** Structured lines on standard output, in JSON; `level` as pino names them. */
export function createLogger(level = 'info'): Logger {
  return wrap(
    pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: describeError } }),
  )
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
