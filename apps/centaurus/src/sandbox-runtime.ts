import { isStatus } from '@centaurus/api'
import { nodes } from '@centaurus/api/core/v1'
import { runtimeclasses } from '@centaurus/api/node/v1'
import type { Client } from '@centaurus/client'
import { findQuark, quarkFolder } from '@centaurus/sandbox'
import type { Home } from './home.ts'
import { localNodeName } from './node-identity.ts'

/** Name of the RuntimeClass, and of the handler in the container runtime's configuration. */
export const SANDBOX_CLASS = 'quark'
/** On nodes that have the handler: pods of the class go there. */
const SANDBOX_LABEL = 'centaurus.io/sandbox'

/** Where this machine keeps the binaries of the sandbox runtime. */
export function sandboxFolder(home: Home): string {
  return quarkFolder(`${home.dir}/quark`)
}

/** Handlers for the container runtime beside runc: the sandbox, once it is built. */
export function sandboxHandlers(home: Home): Readonly<Record<string, string>> {
  const binary = findQuark(sandboxFolder(home))
  return binary === undefined ? {} : { [SANDBOX_CLASS]: binary }
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
