import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import { createFileTokenSource, type HttpClientConfig } from './http-client.ts'

export interface Kubeconfig {
  /** Ready for `createHttpClient`. */
  readonly config: HttpClientConfig
  readonly context: string
  /** Namespace of the context; `default` when it names none. */
  readonly namespace: string
}

export interface KubeconfigOptions {
  /** Context to use; absent: `current-context`. */
  readonly context?: string | undefined
}

/**
 * Reads a kubeconfig file; absent: the first of `$KUBECONFIG`, then `~/.kube/config`. Relative file names in it are relative to it.
 * Throws with the reason and the way out. `exec` and auth-provider plugins are not run. Source: client-go tools/clientcmd/api/v1.
 */
export async function loadKubeconfig(path?: string, options: KubeconfigOptions = {}): Promise<Kubeconfig> {
  const file =
    path ?? process.env['KUBECONFIG']?.split(':').find((part) => part !== '') ?? join(homedir(), '.kube', 'config')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new Error(`Cannot read kubeconfig "${file}": give the path of an existing file`, { cause })
  }
  return parseKubeconfig(text, { ...options, directory: dirname(resolve(file)) })
}

/** As {@link loadKubeconfig}, from its text. File names are relative to `directory` (default: the working directory). */
export async function parseKubeconfig(
  text: string,
  options: KubeconfigOptions & { readonly directory?: string | undefined } = {},
): Promise<Kubeconfig> {
  const document = (load(text) ?? {}) as RawKubeconfig
  const name = options.context ?? document['current-context'] ?? ''
  const context = entry(document.contexts, name, 'context')?.context
  const cluster = entry(document.clusters, context?.cluster ?? '', 'cluster')?.cluster
  const user = context?.user ? (entry(document.users, context.user, 'user')?.user ?? {}) : {}
  if (!cluster?.server) throw new Error(`Cannot use kubeconfig context "${name}": its cluster names no server`)
  if (user.exec !== undefined)
    throw new Error(`Cannot use kubeconfig context "${name}": exec credential plugins are not supported`)
  const directory = options.directory ?? process.cwd()
  const material = (data: string | undefined, file: string | undefined): Promise<Uint8Array | undefined> =>
    readMaterial(data, file, directory)
  const config: HttpClientConfig = {
    server: cluster.server,
    ca: await material(cluster['certificate-authority-data'], cluster['certificate-authority']),
    cert: await material(user['client-certificate-data'], user['client-certificate']),
    key: await material(user['client-key-data'], user['client-key']),
    token: user.tokenFile === undefined ? user.token : createFileTokenSource(resolve(directory, user.tokenFile)),
    tlsServerName: cluster['tls-server-name'],
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
  }
  return { config, context: name, namespace: context?.namespace ?? 'default' }
}

interface RawKubeconfig {
  readonly 'current-context'?: string
  readonly contexts?: readonly {
    readonly name: string
    readonly context: { cluster?: string; user?: string; namespace?: string }
  }[]
  readonly clusters?: readonly { readonly name: string; readonly cluster: RawCluster }[]
  readonly users?: readonly { readonly name: string; readonly user: RawUser }[]
}

interface RawCluster {
  readonly server?: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'tls-server-name'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
}

interface RawUser {
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly exec?: unknown
}

function entry<E extends { readonly name: string }>(list: readonly E[] | undefined, name: string, what: string): E {
  const found = list?.find((candidate) => candidate.name === name)
  if (found !== undefined) return found
  const known = (list ?? []).map((candidate) => candidate.name).join(', ')
  throw new Error(`Cannot find ${what} "${name}" in the kubeconfig: it has ${known === '' ? 'none' : known}`)
}

async function readMaterial(
  data: string | undefined,
  file: string | undefined,
  directory: string,
): Promise<Uint8Array | undefined> {
  if (data !== undefined && data !== '') return Buffer.from(data, 'base64')
  return file === undefined || file === '' ? undefined : readFile(resolve(directory, file))
}
