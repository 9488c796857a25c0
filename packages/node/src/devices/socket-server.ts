import { mkdir, readdir, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'

import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'

/** What a unix socket's address holds. Source: Linux uapi/linux/un.h, less the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 107

export interface SocketServer {
  close(): void
}

/** Makes the folder of a socket, and its path free. Rejects when somebody else serves there, or when the path is too long for a socket. */
export async function claimSocket(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path)
  if (bytes > SOCKET_PATH_BYTES_MAX)
    throw new Error(
      `Cannot serve on "${path}": the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes, this one has ${bytes}; keep the node's state in a folder with a shorter path`,
    )
  await mkdir(dirname(path), { recursive: true, mode: 0o750 })
  if (await isServed(path))
    throw new Error(
      `Cannot serve on "${path}": another program does, such as a kubelet; stop that, or use another folder`,
    )
  await unlink(path).catch(ignoreMissing)
}

/** Serves on a unix socket that only this user can reach. Rejects as {@link claimSocket} does. */
export async function serveOnSocket(
  path: string,
  service: ServiceDefinition,
  handlers: UntypedServiceImplementation,
): Promise<SocketServer> {
  await claimSocket(path)
  const server = new Server()
  server.addService(service, handlers)
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(new Error(`Cannot serve on "${path}"`, { cause: error })),
    )
  })
  return { close: () => server.forceShutdown() }
}

/** Removes sockets of a folder that nobody serves: what plugins of before left. Those whose plugin lives make theirs anew when they see ours come. */
export async function removeSockets(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(noEntries)
  for (const entry of entries) if (entry.isSocket()) await unlink(join(dir, entry.name)).catch(ignoreMissing)
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => done(true))
    socket.on('error', () => done(false))
  })
}

function noEntries(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return []
  throw error
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
