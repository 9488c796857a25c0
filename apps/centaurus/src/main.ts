import { createProgram } from './program.ts'
import { UserError } from './user-error.ts'

try {
  await createProgram().parseAsync(process.argv)
} catch (error) {
  const text = error instanceof UserError ? error.message : error instanceof Error ? error.stack : String(error)
  process.stderr.write(`centaurus: ${text}\n`)
  process.exitCode = 1
}
