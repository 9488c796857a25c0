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
import type { NodesSetting } from './settings.ts'
import { UserError } from './user-error.ts'

const CONTROL_PLANE_TIMEOUT_MS = 60_000
const NODES_TIMEOUT_MS = 120_000
const GATEWAY_TIMEOUT_MS = 30_000
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

/** Starts the node agents of a home, unless they run, and waits until their nodes are ready. */
export function nodeTask({ home, name }: NamedHome, nodes: NodesSetting): ListrTask {
  const expected = nodes.type === 'simulated' ? nodes.count : 1
  const title = nodes.type === 'simulated' ? `Start ${expected} simulated nodes` : 'Start the node agent'
  return daemonTask(home, {
    name: 'node',
    title: title + suffix(name),
    waitUntilReady: (since) => waitForNodes(home, { since, expected }),
  })
}

/** Starts a gateway, unless it runs, and waits until it takes requests. */
export function gatewayTask({ home, name }: NamedHome): ListrTask {
  return daemonTask(home, {
    name: 'gateway-server',
    title: `Start the ${name}`,
    waitUntilReady: (since) =>
      waitFor(home, { name: 'gateway-server', since, timeoutMs: GATEWAY_TIMEOUT_MS }, async () =>
        isMarkedReady(home, 'gateway-server'),
      ),
  })
}

function suffix(name: string): string {
  return name === '' ? '' : ` of ${name}`
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
        `The ${name} is not ready after ${timeoutMs / 1000} s. Its last lines:\n${tail}\nSee ${logFile(home, name)}`,
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
