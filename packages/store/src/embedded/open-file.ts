import { spawn } from 'node:child_process'
import { statSync, truncateSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { checkDatabaseFile } from './database.ts'
import { damagedFile } from './errors.ts'

/**
 * Makes sure that opening `file` can't crash this process. A file that is shorter than its header says is either whole (its last
 * pages were freed and never written) or torn: a process of its own reads it all, after the missing pages were filled with zeros.
 * Throws `StoreFileError` when it is torn; the file is then as it was.
 */
export async function checkStoreFile(file: string): Promise<void> {
  const check = checkDatabaseFile(file)
  if (check === 'new' || check === 'whole') return
  const bytes = statSync(file).size
  truncateSync(file, check.wantedBytes)
  const problem = await verifyInChild(file)
  if (problem === undefined) return
  truncateSync(file, bytes)
  throw damagedFile(file, `its last ${check.missingBytes} bytes are missing`, new Error(problem))
}

/** What is wrong with the file, or `undefined`. */
function verifyInChild(file: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const script = fileURLToPath(new URL('./verify-database.ts', import.meta.url))
    const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'ignore', 'pipe'] })
    let problem = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (problem = (problem + text).slice(-4096)))
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${signal ?? `exit code ${code}`}: ${problem}`),
    )
  })
}
