import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { KUBERNETES_VERSION, kubernetesDir, LIBRARY_VERSION } from '../../tools/generate/src/modules.ts'
import { mustRun } from '../lib/processes.ts'

/** It takes eight minutes of processor time. */
const BUILD_TIMEOUT_MS = 3_600_000
const VERSION_PACKAGE = 'k8s.io/component-base/version'

/** Programs of upstream's, unmodified; paths. */
export interface UpstreamPrograms {
  readonly kubelet: string
  readonly kubeProxy: string
}

/**
 * Upstream's programs for nodes, of the version that we follow: built from the Go module `k8s.io/kubernetes`, once, into `~/.cache/centaurus`. Needs Go
 * and its module proxy.
 */
export async function buildUpstream(): Promise<UpstreamPrograms> {
  return { kubelet: await build('cmd/kubelet'), kubeProxy: await build('cmd/kube-proxy') }
}

/** Likewise, the device plugin with which upstream tests kubelets: its path. */
export function buildSamplePlugin(): Promise<string> {
  return build('test/images/sample-device-plugin')
}

/** `source` is a folder of the module. */
async function build(source: string): Promise<string> {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'centaurus')
  const program = basename(source)
  const binary = join(folder, `${program}-${KUBERNETES_VERSION}`)
  if (existsSync(binary)) return binary
  console.log(`Building ${binary}, which takes minutes`)
  const module = join(folder, `${program}-${KUBERNETES_VERSION}-module`)
  await writeModule(module, source)
  const [, major, minor] = /^v(\d+)\.(\d+)\./.exec(KUBERNETES_VERSION)!
  const facts = { gitVersion: KUBERNETES_VERSION, gitMajor: major, gitMinor: minor }
  const flags = Object.entries(facts).map(([name, value]) => `-X ${VERSION_PACKAGE}.${name}=${value}`)
  const output = ['-o', `${binary}.new`, `k8s.io/kubernetes/${source}`]
  await mustRun(['nice', 'go', 'build', '-trimpath', '-ldflags', `-s -w ${flags.join(' ')}`, ...output], {
    cwd: module,
    timeoutMs: BUILD_TIMEOUT_MS,
  })
  await rename(`${binary}.new`, binary)
  return binary
}

/** A module that needs the program. The libraries, which the published module does not hold, are named by their release. */
async function writeModule(folder: string, source: string): Promise<void> {
  const upstream = kubernetesDir()
  const theirs = await readFile(join(upstream, 'go.mod'), 'utf8')
  const libraries = [...theirs.matchAll(/^\t(\S+) => \.\/staging\//gm)].map(([, name]) => name!)
  const lines = [
    'module components',
    ...theirs.split('\n').filter((line) => /^(go|godebug) /.test(line)),
    `require k8s.io/kubernetes ${KUBERNETES_VERSION}`,
    ...libraries.map((name) => `replace ${name} => ${name} ${LIBRARY_VERSION}`),
    '',
  ]
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'go.mod'), lines.join('\n'))
  await writeFile(join(folder, 'go.sum'), await readFile(join(upstream, 'go.sum')))
  const tools = `//go:build tools\n\npackage components\n\nimport _ "k8s.io/kubernetes/${source}"\n`
  await writeFile(join(folder, 'tools.go'), tools)
  await mustRun(['go', 'mod', 'tidy'], { cwd: folder, timeoutMs: BUILD_TIMEOUT_MS })
}
