import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ANSWER_MS_MAX = 30_000

/** One of our scripts in a process of its own. */
export interface Forked<Ready> {
  readonly pid: number
  /** What it said first. */
  readonly ready: Ready
  /** Sends a message and resolves to the next one that it says. */
  ask<Answer>(message: object): Promise<Answer>
  stop(): Promise<void>
}

/** Starts the script `name` of this folder, which says what is needed when it is ready. */
export async function forkScript<Ready>(
  name: string,
  args: readonly string[],
  { nice = 0 }: { readonly nice?: number } = {},
): Promise<Forked<Ready>> {
  const child = fork(fileURLToPath(new URL(name, import.meta.url)), [...args], {
    execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=8'],
    env: { ...process.env, NODE_ENV: 'production', BENCH_NICE: String(nice) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    const ready = await nextMessage<Ready>(child)
    return {
      pid: child.pid!,
      ready,
      ask(message) {
        child.send(message)
        return nextMessage(child)
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
    const finish = (): void => {
      clearTimeout(timer)
      child.off('exit', onExit)
      child.off('message', onMessage)
    }
    const onExit = (code: number | null): void => {
      finish()
      reject(new Error(`Cannot go on: a process of the bench ended with code ${code}`))
    }
    const onMessage = (message: unknown): void => {
      finish()
      resolve(message as T)
    }
    const timer = setTimeout(() => {
      finish()
      reject(new Error('Cannot go on: a process of the bench does not answer'))
    }, ANSWER_MS_MAX)
    child.once('exit', onExit)
    child.once('message', onMessage)
  })
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const timer = setTimeout(() => child.kill('SIGKILL'), ANSWER_MS_MAX)
  if (child.connected) child.disconnect()
  await ended
  clearTimeout(timer)
}
