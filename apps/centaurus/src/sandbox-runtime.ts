import { isStatus } from '@centaurus/api'
import { nodes } from '@centaurus/api/core/v1'
import { runtimeclasses } from '@centaurus/api/node/v1'
import type { Client } from '@centaurus/client'
import { SANDBOX_CLASS, SANDBOX_LABEL, type ChannelProgram } from '@centaurus/network'
import { findQuark, quarkFolder } from '@centaurus/sandbox'
import { join } from 'node:path'
import type { Home } from './home.ts'
import { localNodeName } from './node-identity.ts'

/** Where containerd's shim keeps the state of containers that the kubelet's API makes. Source: containerd, runtime/v2/runc's RuncRoot. */
const RUNTIME_STATE = '/run/containerd/runc/k8s.io'

export { SANDBOX_CLASS }

/** Where this machine keeps the binaries of the sandbox runtime. */
export function sandboxFolder(home: Home): string {
  return quarkFolder(`${home.dir}/quark`)
}

/** Handlers for the container runtime beside runc: the sandbox, once it is built. */
export function sandboxHandlers(home: Home): Readonly<Record<string, string>> {
  const binary = findQuark(sandboxFolder(home))
  return binary === undefined ? {} : { [SANDBOX_CLASS]: binary }
}

/** Where sandboxes find the service of channels when they are made. */
export function channelSocket(home: Home): string {
  return join(home.runDir, 'quark-channel.sock')
}

/** What the network daemon runs for connections between sandboxes; undefined: the runtime is not built. */
export function channelProgram(home: Home, { socket }: { readonly socket: string }): ChannelProgram | undefined {
  const binary = findQuark(sandboxFolder(home))
  if (binary === undefined) return undefined
  return { binary, stateRoot: RUNTIME_STATE, socket, control: join(home.runDir, 'quark-channel-control.sock') }
}

/** Makes the RuntimeClass, if there is none, and says on this machine's node that its pods can run here. */
export async function offerSandbox(client: Client): Promise<void> {
  try {
    await client.create(runtimeclasses, {
      metadata: { name: SANDBOX_CLASS },
      handler: SANDBOX_CLASS,
      scheduling: { nodeSelector: { [SANDBOX_LABEL]: SANDBOX_CLASS } },
    })
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error // somebody's own
  }
  const labels = { [SANDBOX_LABEL]: SANDBOX_CLASS }
  await client.patch(nodes, { name: localNodeName() }, { type: 'merge', body: { metadata: { labels } } })
}
