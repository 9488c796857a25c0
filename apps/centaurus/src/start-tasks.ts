import { existsSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { ListrTask } from 'listr2'
import { connectAsAdmin, isNodeReady, tryListNodes } from './cluster-access.ts'
import {
  findDaemon,
  isMarkedReady,
  isSupervised,
  logFile,
  logTail,
  startDaemon,
  stopDaemon,
  type DaemonName,
} from './daemons.ts'
import type { Home, NamedHome } from './home.ts'
import { hasOwnNetwork, type Settings } from './settings.ts'
import { UserError } from './user-error.ts'

const CONTROL_PLANE_TIMEOUT_MS = 60_000
const NODES_TIMEOUT_MS = 120_000
const GATEWAY_TIMEOUT_MS = 30_000
const GPU_TIMEOUT_MS = 60_000
const POLL_MS = 50
const REQUEST_TIMEOUT_MS = 2_000
const LOG_LINES = 15

/** Starts the control plane of a home, unless it runs, and waits until its API answers. */
export function controlPlaneTask({ home, name }: NamedHome): ListrTask {
  return daemonTask(home, {
    name: 'control-plane',
    title: `Start the control plane${suffix(name)}`,
    waitUntilReady: (since) => waitForApi(home, since),
  })
}

/**
 * Starts the node agents of a home, unless they run, and waits until their nodes are ready. A local node's pod network starts with it: each waits for the
 * other, the network for the node's addresses, the node for its network.
 */
export function nodeTask({ home, name }: NamedHome, settings: Pick<Settings, 'nodes' | 'network'>): ListrTask {
  const { nodes } = settings
  const expected = nodes.type === 'simulated' ? nodes.count : 1
  const title = nodes.type === 'simulated' ? `Start ${expected} simulated nodes` : 'Start the node agent'
  const helpers: readonly DaemonName[] = hasOwnNetwork(settings) ? ['network'] : []
  return daemonTask(home, {
    name: 'node',
    helpers,
    title: (helpers.length === 0 ? title : `${title} and the pod network`) + suffix(name),
    waitUntilReady: (since) => waitForNodes(home, { since, expected, helpers }),
  })
}

/** Starts the GPU plugin, unless it runs, and waits until the node agent knows of it; for a driver that does not answer only until it has said so. */
export function gpuTask({ home }: NamedHome, { simulatedGpus }: Pick<Settings, 'simulatedGpus'>): ListrTask {
  return daemonTask(home, {
    name: 'gpu',
    title: simulatedGpus === undefined ? 'Start the GPU plugin' : 'Start the GPU plugin, with simulated GPUs',
    waitUntilReady: (since) =>
      waitFor(home, { names: ['gpu'], since, timeoutMs: GPU_TIMEOUT_MS }, async () => isMarkedReady(home, 'gpu')),
  })
}

/** Starts a gateway, unless it runs, and waits until it takes requests. */
export function gatewayTask({ home, name }: NamedHome): ListrTask {
  return daemonTask(home, {
    name: 'gateway-server',
    title: `Start the ${name}`,
    waitUntilReady: (since) =>
      waitFor(home, { names: ['gateway-server'], since, timeoutMs: GATEWAY_TIMEOUT_MS }, async () =>
        isMarkedReady(home, 'gateway-server'),
      ),
  })
}

function suffix(name: string): string {
  return name === '' ? '' : ` of ${name}`
}

interface DaemonTask {
  readonly name: DaemonName
  /** Others that start with it. */
  readonly helpers?: readonly DaemonName[]
  readonly title: string
  /** `since` is how long the logs were before. */
  readonly waitUntilReady: (since: LogSizes) => Promise<void>
}

type LogSizes = ReadonlyMap<DaemonName, number>

function daemonTask(home: Home, { name, helpers = [], title, waitUntilReady }: DaemonTask): ListrTask {
  return {
    title,
    task: async (_, task) => {
      const since = new Map<DaemonName, number>()
      let running = 0
      for (const each of [...helpers, name]) {
        // Without its supervisor nobody would bring it back: begin again with one. Containers go on meanwhile.
        if (!isSupervised(home, each)) await stopDaemon(home, each)
        since.set(each, logSize(home, each))
        if (findDaemon(home, each) === undefined) await startDaemon(home, each)
        else running++
      }
      await waitUntilReady(since)
      if (running === since.size) task.skip(`The ${name} is already up (pid ${findDaemon(home, name)?.pid})`)
    },
  }
}

async function waitForApi(home: Home, since: LogSizes): Promise<void> {
  await waitFor(home, { names: ['control-plane'], since, timeoutMs: CONTROL_PLANE_TIMEOUT_MS }, async () => {
    if (!existsSync(home.kubeconfig)) return false
    const client = await connectAsAdmin(home)
    try {
      return (await tryListNodes(client, REQUEST_TIMEOUT_MS)) !== undefined
    } finally {
      await client.close()
    }
  })
}

interface NodesWait {
  readonly since: LogSizes
  readonly expected: number
  readonly helpers: readonly DaemonName[]
}

async function waitForNodes(home: Home, { since, expected, helpers }: NodesWait): Promise<void> {
  const names: readonly DaemonName[] = ['node', ...helpers]
  const client = await connectAsAdmin(home)
  try {
    await waitFor(home, { names, since, timeoutMs: NODES_TIMEOUT_MS }, async () => {
      if (!names.every((name) => isMarkedReady(home, name))) return false // nodes of an agent that was killed look ready for a while
      const nodes = await tryListNodes(client, REQUEST_TIMEOUT_MS)
      return (nodes ?? []).filter(isNodeReady).length >= expected
    })
  } finally {
    await client.close()
  }
}

interface WaitOptions {
  /** All must go on. */
  readonly names: readonly DaemonName[]
  readonly since: LogSizes
  readonly timeoutMs: number
}

async function waitFor(
  home: Home,
  { names, since, timeoutMs }: WaitOptions,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isReady())) {
    const tailOf = (name: DaemonName): string => logTail(home, name, { offset: since.get(name) ?? 0, lines: LOG_LINES })
    const stopped = names.find((name) => findDaemon(home, name) === undefined && !isSupervised(home, name))
    if (stopped !== undefined) throw new UserError(readableFailure(stopped, tailOf(stopped)))
    if (performance.now() > deadline) {
      const late = names.find((name) => !isMarkedReady(home, name)) ?? names[0]!
      throw new UserError(
        `The ${late} is not ready after ${timeoutMs / 1000} s. Its last lines:\n${tailOf(late)}\nSee ${logFile(home, late)}`,
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
