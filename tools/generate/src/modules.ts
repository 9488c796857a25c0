import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** The Kubernetes release whose published description is the source of everything generated. SCOPE.md names it. */
export const KUBERNETES_VERSION = 'v1.37.2'

/** Version of the libraries that belong to {@link KUBERNETES_VERSION}. */
export const LIBRARY_VERSION = KUBERNETES_VERSION.replace(/^v1\./, 'v0.')

/** Prefix of the OpenAPI definition names whose Go package stands in a module, and the folder of that prefix. */
const LIBRARIES: readonly { prefix: string; module: string }[] = [
  { prefix: 'io.k8s.api.', module: 'k8s.io/api' },
  { prefix: 'io.k8s.apimachinery.', module: 'k8s.io/apimachinery' },
  { prefix: 'io.k8s.apiextensions-apiserver.', module: 'k8s.io/apiextensions-apiserver' },
  { prefix: 'io.k8s.kube-aggregator.', module: 'k8s.io/kube-aggregator' },
]

const directories = new Map<string, string>()

/** Folder of a Go module, fetched through the Go module proxy when it is not there yet. Throws when `go` is missing. */
export function moduleDir(module: string, version: string): string {
  const key = `${module}@${version}`
  const known = directories.get(key)
  if (known !== undefined) return known
  const output = execFileSync('go', ['mod', 'download', '-json', key], { cwd: '/', encoding: 'utf8' })
  const { Dir: directory } = JSON.parse(output) as { Dir: string }
  directories.set(key, directory)
  return directory
}

/** True when `go` can be run, so that the published sources can be had. */
export function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export function kubernetesDir(): string {
  return moduleDir('k8s.io/kubernetes', KUBERNETES_VERSION)
}

/** Folder of the Go package that holds a definition, such as `io.k8s.api.core.v1.Pod`. */
export function packageDir(definition: string): string | undefined {
  const library = LIBRARIES.find(({ prefix }) => definition.startsWith(prefix))
  if (library === undefined) return undefined
  const path = definition.slice(library.prefix.length).split('.').slice(0, -1)
  return join(moduleDir(library.module, LIBRARY_VERSION), ...path)
}

/** OpenAPI's name of a message: `k8s.io.apiextensions_apiserver.pkg.X` is `io.k8s.apiextensions-apiserver.pkg.X`. */
export function definitionOfMessage(message: string): string {
  return message
    .replace(/^k8s\.io\./, 'io.k8s.')
    .replace('.apiextensions_apiserver.', '.apiextensions-apiserver.')
    .replace('.kube_aggregator.', '.kube-aggregator.')
}

/** Folder of an imported Go package of the API libraries, such as `k8s.io/api/core/v1`; undefined for any other. */
export function importDir(path: string): string | undefined {
  const library = LIBRARIES.find(({ module }) => path.startsWith(`${module}/`))
  if (library === undefined) return undefined
  return join(moduleDir(library.module, LIBRARY_VERSION), path.slice(library.module.length + 1))
}
