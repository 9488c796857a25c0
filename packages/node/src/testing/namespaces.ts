import { spawn } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const INSIDE = 'CENTAURUS_TEST_NAMESPACES'

/** True in the process that {@link runInNamespaces} started. */
export function isInNamespaces(): boolean {
  return process.env[INSIDE] === '1'
}

/**
 * Runs a test file again in mount and network namespaces of its own, so that its mounts, bridges and rules end with it. Throws with the
 * output when it fails. Needs root.
 */
export async function runInNamespaces(fileUrl: string): Promise<void> {
  const args = [
    '--mount',
    '--net',
    '--propagation',
    'private',
    process.execPath,
    '--test',
    '--test-isolation=none',
    '--test-reporter=spec',
    fileURLToPath(fileUrl),
  ]
  const env: NodeJS.ProcessEnv = { ...process.env, [INSIDE]: '1' }
  delete env['NODE_TEST_CONTEXT']
  const child = spawn('unshare', args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0)
    throw new Error(`The test failed in its namespaces (exit code ${code}):\n${Buffer.concat(chunks).toString()}`)
}

/** Hides the folders that container runtimes share by name, and brings the loopback up. For the process inside. */
export function isolateHost(): void {
  mkdirSync('/var/lib/cni', { recursive: true })
  for (const dir of ['/run', '/var/lib/cni']) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', dir])
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
}

/** Ends shims that belong to the containerd at `socket` and outlived it. */
export function killShims(socket: string): void {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    let command: string[]
    try {
      command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
    } catch {
      continue // it ended meanwhile
    }
    if (command[0]?.includes('containerd-shim') === true && command.includes(socket))
      process.kill(Number(entry), 'SIGKILL')
  }
}
