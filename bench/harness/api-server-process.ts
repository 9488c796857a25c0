import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TlsClient } from './http2-load.ts'
import type { MemorySample } from './memory.ts'

export const BENCH_NAMESPACE = 'bench'

const START_MS_MAX = 30_000

/** More flags for the server's Node, such as `--cpu-prof --cpu-prof-dir=/tmp/profile`. */
const SERVER_FLAGS = (process.env['BENCH_SERVER_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '')

export interface ReadyMessage {
  readonly url: string
  readonly tls: TlsClient
}

/** Our API server in a process of its own. */
export interface ApiServerProcess extends ReadyMessage {
  readonly pid: number
  /** Its memory, after it collected its garbage. */
  settle(): Promise<MemorySample>
  stop(): Promise<void>
}

/** Starts it with its data in `directory`. */
export async function startApiServer(directory: string): Promise<ApiServerProcess> {
  const child = fork(fileURLToPath(new URL('api-server.ts', import.meta.url)), [directory], {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning', '--max-semi-space-size=8', ...SERVER_FLAGS],
    env: { ...process.env, NODE_ENV: 'production' }, // as `centaurus up` starts it
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    const ready = await nextMessage<ReadyMessage>(child)
    return {
      ...ready,
      pid: child.pid!,
      async settle() {
        child.send('settle')
        return nextMessage<MemorySample>(child)
      },
      stop: () => stopChild(child),
    }
  } catch (error) {
    await stopChild(child)
    throw error
  }
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('Cannot reach the API server: it does not answer')), START_MS_MAX)
    const onExit = (code: number | null): void => {
      clearTimeout(timer)
      reject(new Error(`Cannot measure the API server: it ended with code ${code}`))
    }
    child.once('exit', onExit)
    child.once('message', (message) => {
      clearTimeout(timer)
      child.off('exit', onExit)
      resolve(message as T)
    })
  })
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX)
  if (child.connected) child.disconnect()
  await ended
  clearTimeout(timer)
}
