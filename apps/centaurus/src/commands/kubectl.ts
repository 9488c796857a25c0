import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { bundledTool } from '../bundled-kubectl.ts'
import type { Home } from '../home.ts'
import { UserError } from '../user-error.ts'

/** Runs the bundled kubectl with this cluster's kubeconfig; exits with its code. */
export async function kubectl(home: Home, args: readonly string[]): Promise<void> {
  if (!existsSync(home.kubeconfig))
    throw new UserError(`There is no cluster in ${home.dir}. Start one with ./centaurus up`)
  const child = spawn(bundledTool('kubectl'), args, {
    stdio: 'inherit',
    env: { ...process.env, KUBECONFIG: home.kubeconfig },
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}
