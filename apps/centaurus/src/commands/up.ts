import { existsSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { silentLogger } from '@centaurus/base'
import { Listr, type ListrTask } from 'listr2'
import { connectAsAdmin, isNodeReady, tryListNodes } from '../cluster-access.ts'
import {
  findDaemon,
  isMarkedReady,
  isSupervised,
  logFile,
  logTail,
  startDaemon,
  stopDaemon,
  type DaemonName,
} from '../daemons.ts'
import { createHome, type Home } from '../home.ts'
import { installPackages, missingPackages, whyNoContainers } from '../prerequisites.ts'
import { LISTR_OPTIONS } from '../progress.ts'
import {
  DEFAULT_SETTINGS,
  formatNodes,
  readSettings,
  writeSettings,
  type NodesSetting,
  type Settings,
} from '../settings.ts'
import { describeStore, isSameStore, type StoreSetting } from '../store-setting.ts'
import { UserError } from '../user-error.ts'

/** What the command line named; the rest comes from the last time, else from the defaults. */
export interface UpOptions {
  readonly port?: number | undefined
  readonly nodes?: NodesSetting | undefined
  readonly store?: StoreSetting | undefined
}

const CONTROL_PLANE_TIMEOUT_MS = 60_000
const NODES_TIMEOUT_MS = 120_000
const POLL_MS = 50
const REQUEST_TIMEOUT_MS = 2_000
const LOG_LINES = 15

/** Starts whatever of the cluster does not run yet, and waits until it is ready. */
export async function up(home: Home, options: UpOptions): Promise<void> {
  const settings = decideSettings(home, options)
  if (settings.nodes.type === 'local') refuseWithoutContainers()
  createHome(home)
  writeSettings(home, settings)
  const tasks = [
    ...(settings.nodes.type === 'local' ? localTasks(home) : []),
    daemonTask(home, {
      name: 'control-plane',
      title: 'Start the control plane',
      waitUntilReady: (since) => waitForApi(home, since),
    }),
    ...(settings.nodes.type === 'local' ? [containerTask(home)] : []),
    ...(settings.nodes.type === 'none' ? [] : [nodeTask(home, settings.nodes)]),
  ]
  await new Listr(tasks, LISTR_OPTIONS).run()
  process.stdout.write(farewell(home))
}

/** Ports and nodes of a cluster that exists can't be changed under its feet. */
function decideSettings(home: Home, options: UpOptions): Settings {
  const last = existsSync(home.dir) ? readSettings(home) : undefined
  const wanted = {
    port: options.port ?? last?.port ?? DEFAULT_SETTINGS.port,
    nodes: options.nodes ?? last?.nodes ?? DEFAULT_SETTINGS.nodes,
    store: options.store ?? last?.store ?? DEFAULT_SETTINGS.store,
  }
  if (last !== undefined) refuseAnotherStore(home, last.store, wanted.store)
  const running = findDaemon(home, 'control-plane') !== undefined
  if (
    running &&
    last !== undefined &&
    (last.port !== wanted.port || formatNodes(last.nodes) !== formatNodes(wanted.nodes))
  ) {
    throw new UserError(
      `The cluster in ${home.dir} already runs with --port ${last.port} --nodes ${formatNodes(last.nodes)}. ` +
        'Run ./centaurus down first, or use another home: CENTAURUS_HOME=~/other ./centaurus up --port 7443',
    )
  }
  return wanted
}

/** A cluster without its objects would be a new one. */
function refuseAnotherStore(home: Home, last: StoreSetting, wanted: StoreSetting): void {
  if (isSameStore(home, last, wanted)) return
  if (last.engine === 'embedded' && !existsSync(home.storeDir)) return // nothing was ever stored
  const flags = wanted.engine === 'etcd' ? `etcd --endpoints ${wanted.endpoints.join(',')} …` : 'embedded'
  throw new UserError(
    `The cluster in ${home.dir} keeps its objects in ${describeStore(home, last)}. ` +
      `Move them first: ./centaurus down && ./centaurus store migrate --to ${flags}`,
  )
}

function refuseWithoutContainers(): void {
  const why = whyNoContainers()
  if (why === undefined) return
  throw new UserError(
    `Cannot run real containers: ${why}. Run this as root (sudo ./centaurus up), or without containers: ./centaurus up --nodes simulated:5`,
  )
}

function localTasks(home: Home): ListrTask[] {
  return [
    {
      title: 'Check what containers need',
      task: async (_, task) => {
        const missing = missingPackages()
        if (missing.length === 0) return
        task.title = `Install ${missing.join(', ')}`
        await installPackages(missing, (line) => (task.output = line))
      },
    },
    {
      title: 'Start containerd',
      task: async (_, task) => {
        const { openContainerd } = await import('../containers.ts')
        const containerd = await openContainerd(home, silentLogger).catch(asUserError)
        if (containerd.adopted) task.skip(`containerd is already up (pid ${containerd.pid})`)
      },
    },
  ]
}

function containerTask(home: Home): ListrTask {
  return {
    title: 'Build and import the images that the project brings',
    task: async () => {
      const { importNodeImages } = await import('../node-images.ts')
      const { containerdPaths } = await import('@centaurus/node')
      await importNodeImages(containerdPaths(home.containerdDir).socket).catch(asUserError)
    },
  }
}

interface DaemonTask {
  readonly name: DaemonName
  readonly title: string
  /** `since` is how long its log was before it started. */
  readonly waitUntilReady: (since: number) => Promise<void>
}

function daemonTask(home: Home, { name, title, waitUntilReady }: DaemonTask): ListrTask {
  return {
    title,
    task: async (_, task) => {
      // Without its supervisor nobody would bring it back: begin again with one. Containers go on meanwhile.
      if (!isSupervised(home, name)) await stopDaemon(home, name)
      const running = findDaemon(home, name)
      const since = logSize(home, name)
      if (running === undefined) startDaemon(home, name)
      await waitUntilReady(since)
      if (running !== undefined) task.skip(`The ${name} is already up (pid ${running.pid})`)
    },
  }
}

function nodeTask(home: Home, nodes: NodesSetting): ListrTask {
  const expected = nodes.type === 'simulated' ? nodes.count : 1
  const title = nodes.type === 'simulated' ? `Start ${expected} simulated nodes` : 'Start the node agent'
  return daemonTask(home, { name: 'node', title, waitUntilReady: (since) => waitForNodes(home, { since, expected }) })
}

async function waitForApi(home: Home, since: number): Promise<void> {
  await waitFor(home, { name: 'control-plane', since, timeoutMs: CONTROL_PLANE_TIMEOUT_MS }, async () => {
    if (!existsSync(home.kubeconfig)) return false
    const client = await connectAsAdmin(home)
    try {
      return (await tryListNodes(client, REQUEST_TIMEOUT_MS)) !== undefined
    } finally {
      await client.close()
    }
  })
}

async function waitForNodes(home: Home, { since, expected }: { since: number; expected: number }): Promise<void> {
  const client = await connectAsAdmin(home)
  try {
    await waitFor(home, { name: 'node', since, timeoutMs: NODES_TIMEOUT_MS }, async () => {
      if (!isMarkedReady(home, 'node')) return false // nodes of an agent that was killed look ready for a while
      const nodes = await tryListNodes(client, REQUEST_TIMEOUT_MS)
      return (nodes ?? []).filter(isNodeReady).length >= expected
    })
  } finally {
    await client.close()
  }
}

interface WaitOptions {
  readonly name: DaemonName
  readonly since: number
  readonly timeoutMs: number
}

async function waitFor(
  home: Home,
  { name, since, timeoutMs }: WaitOptions,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isReady())) {
    const tail = logTail(home, name, { offset: since, lines: LOG_LINES })
    if (findDaemon(home, name) === undefined && !isSupervised(home, name)) {
      throw new UserError(readableFailure(name, tail))
    }
    if (performance.now() > deadline) {
      throw new UserError(
        `The ${name} is not ready after ${timeoutMs / 1000} s. Its last lines:\n${tail}\nSee ./centaurus logs ${name}`,
      )
    }
    await delay(POLL_MS)
  }
}

/** A daemon that stops for a reason that people can mend prints it as plain text, last. */
function readableFailure(name: DaemonName, tail: string): string {
  const reason = tail
    .split('\n')
    .reverse()
    .find((line) => line.startsWith('centaurus: '))
  if (reason !== undefined) return reason.slice('centaurus: '.length)
  return `The ${name} stopped. Its last lines:\n${tail}\nSee ./centaurus logs ${name}`
}

function logSize(home: Home, name: DaemonName): number {
  const file = logFile(home, name)
  return existsSync(file) ? statSync(file).size : 0
}

function asUserError(cause: unknown): never {
  throw new UserError((cause as Error).message, { cause })
}

function farewell(home: Home): string {
  return `
The cluster is up. Its kubeconfig is ${home.kubeconfig}

Try:
  ./centaurus kubectl get nodes -o wide
  ./centaurus kubectl apply -f examples/web.yaml
  ./centaurus kubectl -n web get all -o wide

Or with your own tools: export KUBECONFIG=${home.kubeconfig}
`
}
