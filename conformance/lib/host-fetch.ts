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
  readonly id: number
  readonly url: string
  readonly method: string
  readonly body?: string | undefined
  readonly contentType?: string | undefined
  readonly tls: ClientTls
}

export type HostResponse =
  | { readonly id: number; readonly status: number; readonly text: string }
  | { readonly id: number; readonly error: string }

/** Makes HTTPS requests from a test host: the test itself has no cable to the network of the hosts. */
export interface HostFetch {
  /** Rejects when nothing answers. */
  fetch(options: Omit<HostRequest, 'id'>): Promise<{ readonly status: number; readonly text: string }>
  close(): Promise<void>
}

/** Starts the process on `host` that makes the requests. */
export function startHostFetch(host: TestHost): HostFetch {
  const [program, ...args] = [...host.enter, process.execPath, join(import.meta.dirname, 'host-fetch-main.ts')]
  const child: ChildProcess = spawn(program!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, (response: HostResponse) => void>()
  let last = 0
  child.on('message', (response: HostResponse) => {
    waiting.get(response.id)?.(response)
    waiting.delete(response.id)
  })
  return {
    async fetch(options) {
      const id = ++last
      const response = await new Promise<HostResponse>((resolve) => {
        waiting.set(id, resolve)
        child.send({ ...options, id } satisfies HostRequest)
      })
      if ('error' in response) throw new Error(response.error)
      return response
    },
    async close() {
      child.disconnect()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}
