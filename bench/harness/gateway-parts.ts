import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { openClusterCertificates, type CertificateAndKey } from '@centaurus/apiserver'
import type { LoadServer } from './http2-load.ts'

/** What a process of {@link startGatewayParts} is told first. */
export type GatewayPartSetup =
  | {
      readonly type: 'partition'
      readonly name: string
      readonly nodes: number
      readonly ca: string
      readonly serving: CertificateAndKey
      readonly serviceAccountKeyPem: string
    }
  | {
      readonly type: 'gateway'
      readonly endpoints: readonly string[]
      readonly ca: string
      readonly serving: CertificateAndKey
      readonly client: CertificateAndKey
    }

/** Partitions and a gateway, each a process of its own. */
export interface GatewayParts {
  readonly home: LoadServer
  readonly gateway: LoadServer
  stop(): Promise<void>
}

const START_MS_MAX = 60_000
const FLAGS = (process.env['BENCH_SERVER_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '')

/** Starts `home`, and two resource partitions with so many nodes each, and a gateway that knows them. */
export async function startGatewayParts({ nodesEach }: { readonly nodesEach: number }): Promise<GatewayParts> {
  const certificates = await openClusterCertificates()
  const { authority, serving, serviceAccountKeyPem } = certificates
  const ca = authority.certificatePem
  const client = await certificates.client('gateway', {
    commonName: 'system:gateway',
    organizations: ['system:gateways'],
  })
  const user = await certificates.client('user', { commonName: 'bench', organizations: ['system:masters'] })
  const tls = { ca, cert: user.certificatePem, key: user.keyPem }
  const children: ChildProcess[] = []
  const start = async (setup: GatewayPartSetup): Promise<LoadServer> => {
    const flags = setup.type === 'gateway' ? FLAGS : []
    const child = fork(fileURLToPath(new URL('gateway-part.ts', import.meta.url)), [], {
      execArgv: ['--disable-warning=ExperimentalWarning', ...flags],
      env: { ...process.env, NODE_ENV: 'production' }, // as `centaurus gateway` starts it
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(child)
    child.send(setup)
    const { port } = await nextMessage<{ port: number }>(child)
    return { url: `https://127.0.0.1:${port}`, pid: child.pid!, tls }
  }
  const partition = (name: string, nodes: number): Promise<LoadServer> =>
    start({ type: 'partition', name, nodes, ca, serving, serviceAccountKeyPem })
  const home = await partition('home', 0)
  const others = await Promise.all(['rp0', 'rp1'].map((name) => partition(name, nodesEach)))
  children[0]!.send([
    registryEntry('home', home, 'Tenant'),
    ...others.map((server, i) => registryEntry(`rp${i}`, server, 'Resource')),
  ])
  await nextMessage(children[0]!)
  const gateway = await start({ type: 'gateway', endpoints: [home.url], ca, serving, client })
  return {
    home,
    gateway,
    async stop() {
      for (const child of children) await stopChild(child)
    },
  }
}

function registryEntry(name: string, { url }: LoadServer, role: 'Tenant' | 'Resource'): Partition {
  return { metadata: { name }, spec: { roles: [role], endpoints: [url], ...(name === 'home' ? { home: true } : {}) } }
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('Cannot measure: a process does not answer')), START_MS_MAX)
    child.once('exit', (code) => reject(new Error(`Cannot measure: a process ended with code ${code}`)))
    child.once('message', (message) => {
      clearTimeout(timer)
      resolve(message as T)
    })
  })
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  if (child.connected) child.disconnect()
  await ended
}
