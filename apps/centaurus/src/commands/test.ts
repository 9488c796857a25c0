import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { cargoPackages, findCargo } from '@centaurus/sandbox'
import {
  installPackages,
  missingPackages,
  missingTestPackages,
  updatePackageLists,
  whyNoContainers,
} from '../prerequisites.ts'

const ROOT = join(import.meta.dirname, '../../../..')

/** Where no Rust that is new enough can be had, the step that needs it says what to do. */
async function installCargo(report: (line: string) => void): Promise<void> {
  if ((await findCargo()).path !== undefined) return
  await updatePackageLists(report)
  const packages = await cargoPackages()
  if (packages !== undefined) await installPackages(packages, report)
}

/** Installs the Debian packages that tests with real containers and with etcd need, and a Rust that is new enough for the sandbox, then runs every step of the check. */
export async function runTests(steps: readonly string[]): Promise<void> {
  const why = whyNoContainers()
  const missing = why === undefined ? [...missingPackages(), ...missingTestPackages()] : []
  const report = (line: string): void => void process.stdout.write(`  … ${line}\n`)
  if (missing.length > 0) await installPackages(missing, report)
  if (why === undefined) await installCargo(report)
  const args = [join(ROOT, 'tools/check/src/check.ts'), '--all', ...steps]
  process.exitCode = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, ...args], { cwd: ROOT, stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}
