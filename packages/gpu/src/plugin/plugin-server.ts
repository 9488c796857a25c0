import { mkdirSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type handleUnaryCall,
} from '@grpc/grpc-js'
import type { ContainerOwner } from '../containers/container-keeper.ts'
import { GpuError } from '../sources/device-source.ts'
import type { DevicePlugin } from './device-plugin.ts'
import { kubeletProtocol } from './protocol/definitions.ts'
import type { AllocateRequest, DeviceList, PreferredRequest } from './protocol/messages.ts'

/** What a unix socket's address holds. Source: Linux uapi/linux/un.h, less the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 107

/** A plugin that listens. */
export interface PluginServer {
  /** Whether its socket is where it was made: a kubelet that starts removes all. */
  isThere(): boolean
  /** Resolves when nobody listens any more. */
  close(): Promise<void>
}

/** Serves a plugin on a socket that only this user may reach, in place of one that was left there. Rejects with {@link GpuError}. */
export async function servePlugin(path: string, plugin: DevicePlugin): Promise<PluginServer> {
  const bytes = Buffer.byteLength(path)
  if (bytes > SOCKET_PATH_BYTES_MAX)
    throw new GpuError(
      `Cannot serve on "${path}": the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes, this one has ${bytes}; use a folder with a shorter path`,
    )
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  rmSync(path, { force: true })
  const server = new Server()
  const streams = new Set<() => void>()
  server.addService(kubeletProtocol().devicePlugin, {
    GetDevicePluginOptions: answer(() => plugin.options),
    ListAndWatch: (call: ServerWritableStream<object, DeviceList>) => followDevices(call, plugin, streams),
    GetPreferredAllocation: answer((request: PreferredRequest) => plugin.prefer(request)),
    Allocate: answer((request: AllocateRequest, { metadata }) => plugin.allocate(request, ownerOf(metadata))),
    PreStartContainer: answer(() => ({})),
  })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null
        ? resolve()
        : reject(new GpuError(`Cannot serve on "${path}": ${error.message}`, { cause: error })),
    )
  })
  const { ino } = statSync(path)
  return {
    isThere: () => statSync(path, { throwIfNoEntry: false })?.ino === ino,
    close: () =>
      new Promise((resolve) => {
        for (const end of streams) end()
        server.tryShutdown(() => resolve())
        server.forceShutdown()
      }),
  }
}

/** Writes the whole list, and again after each change, until either side ends it. */
function followDevices(
  call: ServerWritableStream<object, DeviceList>,
  plugin: DevicePlugin,
  streams: Set<() => void>,
): void {
  const write = (): void => void call.write(plugin.list())
  const stop = plugin.onChange(write)
  const end = (): void => {
    stop()
    streams.delete(end)
    call.end()
  }
  streams.add(end)
  call.on('cancelled', end)
  write()
}

/** A handler of a function; what that throws is the text of an error of code Unknown, as a Go server has it. */
function answer<In, Out>(handle: (request: In, call: ServerUnaryCall<In, Out>) => Out): handleUnaryCall<In, Out> {
  return (call, done) => {
    try {
      done(null, handle(call.request, call))
    } catch (error) {
      done({ code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) })
    }
  }
}

/** Our node agent says beside the request whose devices they are, since the API has no field for it. */
function ownerOf(metadata: Metadata): ContainerOwner | undefined {
  const [podUid] = metadata.get('centaurus-pod-uid')
  const [container] = metadata.get('centaurus-container')
  if (typeof podUid !== 'string' || typeof container !== 'string') return undefined
  // they become the name of a folder
  if (!NAME.test(podUid) || !NAME.test(container))
    throw new Error('the owner of the devices is no name of a pod and its container')
  return { podUid, container }
}

const NAME = /^[A-Za-z0-9][-A-Za-z0-9]{0,127}$/
