import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestHost } from './test-hosts.ts'

/** PEM. */
export interface ClientTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

export interface HostRequest {
  readonly url: string
  readonly method: string
  readonly body?: string | undefined
  readonly contentType?: string | undefined
  readonly tls: ClientTls
}

export interface HostAnswer {
  readonly status: number
  readonly text: string
  /** Whether the server asks to come back later: clients then repeat the request by themselves, whatever it is. */
  readonly asksAgain: boolean
}

/** What the process on the host is told. */
export type HostCommand =
  | ({ readonly type: 'fetch' | 'watch'; readonly id: number } & HostRequest)
  | { readonly type: 'stop'; readonly id: number }

/** What it tells. A watch tells lines, until it tells its end. */
export type HostEvent =
  | ({ readonly type: 'answer'; readonly id: number } & HostAnswer)
  | { readonly type: 'error'; readonly id: number; readonly error: string }
  | { readonly type: 'line'; readonly id: number; readonly line: string }
  | { readonly type: 'end'; readonly id: number }

export interface HostWatchOptions {
  readonly onLine: (line: string) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

/** Makes HTTPS requests from a test host: the test itself has no cable to the network of the hosts. */
export interface HostFetch {
  /** Rejects when nothing answers. */
  fetch(request: HostRequest): Promise<HostAnswer>
  /** Reads an answer that goes on, line by line; resolves to its status when it ends. Rejects when it breaks off or falls silent. */
  watch(request: HostRequest, options: HostWatchOptions): Promise<number>
  close(): Promise<void>
}

/** Starts the process on `host` that makes the requests. */
export function startHostFetch(host: TestHost): HostFetch {
  const [program, ...args] = [...host.enter, process.execPath, join(import.meta.dirname, 'host-fetch-main.ts')]
  const child: ChildProcess = spawn(program!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, (event: HostEvent) => void>()
  let last = 0
  child.on('message', (event: HostEvent) => waiting.get(event.id)?.(event))
  const call = (type: 'fetch' | 'watch', request: HostRequest, onEvent: (event: HostEvent) => void): number => {
    const id = ++last
    waiting.set(id, (event) => {
      if (event.type !== 'line') waiting.delete(id)
      onEvent(event)
    })
    child.send({ ...request, type, id } satisfies HostCommand)
    return id
  }
  return {
    fetch: (request) =>
      new Promise((resolve, reject) => {
        call('fetch', request, (event) => {
          if (event.type === 'answer') resolve(event)
          else reject(new Error(event.type === 'error' ? event.error : `An unexpected ${event.type}`))
        })
      }),
    watch: (request, { onLine, signal }) =>
      new Promise((resolve, reject) => {
        const id = call('watch', request, (event) => {
          if (event.type === 'line') return onLine(event.line)
          if (event.type === 'error') reject(new Error(event.error))
          else resolve(event.type === 'answer' ? event.status : 200)
        })
        signal.addEventListener(
          'abort',
          () => child.connected && child.send({ type: 'stop', id } satisfies HostCommand),
        )
      }),
    async close() {
      child.disconnect()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}
