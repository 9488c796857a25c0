import { isStatus } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import type { AdmissionOptions } from './built-in.ts'

const NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease', 'default']

/** Makes the objects that every cluster has. Safe to run at each start. */
export async function bootstrapObjects(client: Client, _options: AdmissionOptions): Promise<void> {
  for (const name of NAMESPACES) {
    await ensure(client.create(namespaces, { metadata: { name } }))
  }
}

async function ensure(creation: Promise<unknown>): Promise<void> {
  try {
    await creation
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error
  }
}
