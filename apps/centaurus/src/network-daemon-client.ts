import { request, type IncomingMessage } from 'node:http'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Home } from './home.ts'
import { hasOwnNetwork, readSettings } from './settings.ts'
import { UserError } from './user-error.ts'

/** Where the network daemon of a home answers. */
export function networkSocket(home: Home): string {
  return join(home.runDir, 'network.sock')
}

/** Where the container runtime's plugin asks. */
export function cniSocket(home: Home): string {
  return join(home.runDir, 'cni.sock')
}

/** Asks the network daemon of this host. Throws {@link UserError} with what to do when it is not there. */
export async function askNetwork(home: Home, path: string): Promise<IncomingMessage> {
  const response = await tryAskNetwork(home, path)
  if (response !== undefined) return response
  const settings = readSettings(home)
  if (settings === undefined) throw new UserError(`There is no cluster in ${home.dir}. Start one with ./centaurus up`)
  if (!hasOwnNetwork(settings)) {
    throw new UserError(
      "Cannot ask this host's network: the cluster does not use the network of Centaurus here. Start it with ./centaurus up --network centaurus",
    )
  }
  throw new UserError(
    "Cannot ask this host's network: it does not run, or belongs to another user. See ./centaurus status and ./centaurus logs network",
  )
}

/** As {@link askNetwork}; undefined when it is not there. */
export async function tryAskNetwork(
  home: Home,
  path: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<IncomingMessage | undefined> {
  const socketPath = networkSocket(home)
  if (!existsSync(socketPath)) return undefined
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, ...(signal === undefined ? {} : { signal }) }, resolve)
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'EACCES' || error.code === 'ENOENT') resolve(undefined)
      else reject(error)
    })
    asked.end()
  })
}

/** What the network of this host waits for; undefined: nothing, or it does not say. */
export async function readWhyNotReady(home: Home, timeoutMs: number): Promise<string | undefined> {
  try {
    const response = await tryAskNetwork(home, '/status', { signal: AbortSignal.timeout(timeoutMs) })
    return response === undefined ? undefined : (await readJson<{ readonly notReady?: string }>(response)).notReady
  } catch {
    return undefined
  }
}

/** The whole answer as JSON. */
export async function readJson<T>(response: IncomingMessage): Promise<T> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  if (response.statusCode !== 200) throw new UserError(`This host's network says: ${text.trim()}`)
  return JSON.parse(text) as T
}
