import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { installPackages, missingPackages, missingTestPackages, whyNoContainers } from '../prerequisites.ts'

const ROOT = join(import.meta.dirname, '../../../..')

/** Installs the Debian packages that tests with real containers and with etcd need, then runs every step of the check. */
export async function runTests(steps: readonly string[]): Promise<void> {
  const why = whyNoContainers()
  const missing = why === undefined ? [...missingPackages(), ...missingTestPackages()] : []
  if (missing.length > 0) await installPackages(missing, (line) => process.stdout.write(`  … ${line}\n`))
  const args = [join(ROOT, 'tools/check/src/check.ts'), '--all', ...steps]
  process.exitCode = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, ...args], { cwd: ROOT, stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}
