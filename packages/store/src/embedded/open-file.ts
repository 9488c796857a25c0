import { spawn } from 'node:child_process'
import { statSync, truncateSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { checkDatabaseFile } from './database.ts'
import { damagedFile } from './errors.ts'

/**
 * Makes sure that opening `file` can't crash this process, unless its pages were changed behind LMDB's back: `verify` finds that. A file that is shorter than its header says is either whole (its last
 * pages were freed and never written) or torn: a process of its own reads it all, after the missing pages were filled with zeros.
 * Throws `StoreFileError` when it is torn or damaged; the file is then as it was.
 */
export async function checkStoreFile(
  file: string,
  { verify = false }: { readonly verify?: boolean } = {},
): Promise<void> {
  const check = checkDatabaseFile(file)
  if (check === 'new') return
  if (check === 'whole') {
    const { signal } = verify ? await verifyInChild(file) : {}
    if (signal !== undefined) throw damagedFile(file, `a process that reads it dies of ${signal}`)
    return // other damage is found as it is read, and said better
  }
  const bytes = statSync(file).size
  truncateSync(file, check.wantedBytes)
  const { problem } = await verifyInChild(file)
  if (problem === undefined) return
  truncateSync(file, bytes)
  throw damagedFile(file, `its last ${check.missingBytes} bytes are missing`, new Error(problem))
}

/** What is wrong with the file, and of what signal the process died that read it. */
function verifyInChild(file: string): Promise<{ readonly problem?: string; readonly signal?: NodeJS.Signals }> {
  return new Promise((resolve, reject) => {
    const script = fileURLToPath(new URL('./verify-database.ts', import.meta.url))
    const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'ignore', 'pipe'] })
    let output = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4096)))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal !== null) resolve({ problem: `${signal}: ${output}`, signal })
      else resolve(code === 0 ? {} : { problem: `exit code ${code}: ${output}` })
    })
  })
}
