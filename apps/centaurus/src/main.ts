import { describeFailure } from './failure.ts'
import { createProgram } from './program.ts'

try {
  await createProgram().parseAsync(process.argv)
} catch (error) {
  const debug = (process.env['CENTAURUS_DEBUG'] ?? '') !== ''
  process.stderr.write(`centaurus: ${describeFailure(error, { debug })}\n`)
  process.exitCode = 1
}
