import { join } from 'node:path'

import { isExtendedResource } from '@centaurus/api'

import { answerUnary } from './answer-unary.ts'
import { DEVICE_PLUGIN_VERSION, deviceProtocol } from './protocol/definitions.ts'
import type { RegisterRequest } from './protocol/messages.ts'
import { claimSocket, removeSockets, serveOnSocket, type SocketServer } from './socket-server.ts'

export const KUBELET_SOCKET = 'kubelet.sock'

/** A plugin that may be connected to. */
export interface Registration {
  readonly resource: string
  readonly socketPath: string
}

/**
 * Serves `Registration` in the folder of device plugins. `register` connects to the plugin, and its error is what the plugin is told. Source: kubelet
 * devicemanager/plugin/v1beta1/server.go, v1.37.
 */
export async function serveRegistration(
  dir: string,
  register: (registration: Registration) => Promise<void>,
): Promise<SocketServer> {
  const Register = answerUnary(async (request: RegisterRequest) => {
    await register(checkRegistration(request, dir))
    return {}
  })
  const path = join(dir, KUBELET_SOCKET)
  await claimSocket(path)
  await removeSockets(dir)
  return serveOnSocket(path, deviceProtocol().registration, { Register })
}

/** Throws what is wrong with a request, in upstream's words where it has them. Pure. */
export function checkRegistration({ version, endpoint, resourceName }: RegisterRequest, dir: string): Registration {
  if (version !== DEVICE_PLUGIN_VERSION)
    throw new Error(
      `requested API version ${JSON.stringify(version)} is not supported by kubelet. Supported version is ["${DEVICE_PLUGIN_VERSION}"]`,
    )
  if (!isExtendedResource(resourceName)) throw new Error(`the ResourceName ${JSON.stringify(resourceName)} is invalid`)
  if (endpoint === '' || endpoint.includes('/') || endpoint === KUBELET_SOCKET)
    throw new Error(
      `the endpoint ${JSON.stringify(endpoint)} is invalid: it must be the name of the plugin's socket in ${dir}, such as "plugin.sock"`,
    )
  return { resource: resourceName, socketPath: join(dir, endpoint) }
}
