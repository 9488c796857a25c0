import { statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { DevicePlugin } from './device-plugin.ts'
import { servePlugin, type PluginServer } from './plugin-server.ts'
import { DEVICE_PLUGIN_VERSION, kubeletProtocol } from './protocol/definitions.ts'
import type { RegisterRequest } from './protocol/messages.ts'

/** Source: pluginapi.KubeletSocket, v1beta1. */
export const KUBELET_SOCKET = 'kubelet.sock'
/** How often the kubelet's socket is looked at. */
const LOOK_MS = 1_000
const REGISTER_TIMEOUT_MS = 10_000

export interface RegistrarOptions {
  readonly plugin: DevicePlugin
  /** The plugin's own, in the folder that has the kubelet's. */
  readonly socketPath: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface Registrar {
  /** Why the kubelet does not know of the plugin; undefined: it does. */
  readonly problem: string | undefined
  /** The first time that the kubelet knows of it. */
  readonly registered: Promise<void>
  close(): Promise<void>
}

/** Serves the plugin and has the kubelet know of it, again whenever the kubelet starts anew, which makes its socket again and removes ours. */
export function startRegistrar({ plugin, socketPath, clock, logger }: RegistrarOptions): Registrar {
  const kubelet = join(dirname(socketPath), KUBELET_SOCKET)
  let problem: string | undefined = `${kubelet} has not been looked for yet`
  let server: PluginServer | undefined
  /** The kubelet's socket at which the plugin registered. */
  let known: string | undefined
  let timer: Timer | undefined
  let closed = false
  const firstTime = Promise.withResolvers<void>()

  const look = async (): Promise<void> => {
    const there = identityOf(kubelet)
    if (there === undefined) throw new Error(`the kubelet's socket ${kubelet} is not there`)
    if (there === known && server?.isThere() === true) return
    known = undefined
    await server?.close()
    server = undefined
    server = await servePlugin(socketPath, plugin)
    await register(kubelet, plugin, basename(socketPath))
    known = there
    logger.info('Registered device plugin', { resource: plugin.resource, kubelet })
    firstTime.resolve()
  }
  const again = async (): Promise<void> => {
    try {
      await look()
      problem = undefined
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (why !== problem) logger.warn('Could not register device plugin', { resource: plugin.resource, error })
      problem = why
    }
    if (!closed) timer = clock.setTimer(LOOK_MS, () => void (turn = again()))
  }
  let turn = again()
  return {
    get problem() {
      return problem
    },
    registered: firstTime.promise,
    async close() {
      closed = true
      timer?.cancel()
      await turn
      await server?.close()
    },
  }
}

/** Another one for a socket that was made again: inodes alone are used again. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.ino} ${found.ctimeMs}`
}

/** Rejects with what the kubelet says. */
async function register(kubelet: string, plugin: DevicePlugin, endpoint: string): Promise<void> {
  const client = new Client(`unix:${kubelet}`, credentials.createInsecure())
  const { path, requestSerialize, responseDeserialize } = kubeletProtocol().registration['Register']!
  const request: RegisterRequest = {
    version: DEVICE_PLUGIN_VERSION,
    endpoint,
    resourceName: plugin.resource,
    options: plugin.options,
  }
  const deadline = AbortSignal.timeout(REGISTER_TIMEOUT_MS)
  try {
    await new Promise<void>((resolve, reject) => {
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        (error: ServiceError | null) =>
          error === null ? resolve() : reject(new Error(`the kubelet refused it: ${error.details}`, { cause: error })),
      )
      deadline.addEventListener('abort', () => call.cancel(), { once: true })
    })
  } finally {
    client.close()
  }
}
