import { isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import type { Client } from '@centaurus/client'

/** Makes an object unless it is there; whatever people made of it stays. */
export async function ensure<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<void> {
  if ((await find(client, type, object)) === undefined) await create(client, type, object)
}

/** Makes an object, or makes it what it should be. */
export async function put<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<void> {
  if ((await find(client, type, object)) === undefined && (await create(client, type, object))) return
  await client.update(type, object) // writes nothing when it is the same
}

/** A look costs little, and at most starts everything is there. */
export async function find<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  { metadata: { namespace, name = '' } }: T,
): Promise<T | undefined> {
  try {
    return await client.get(type, { namespace, name })
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** False when another server was quicker. */
async function create<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<boolean> {
  try {
    await client.create(type, object)
    return true
  } catch (error) {
    if (isStatus(error, 'AlreadyExists')) return false
    throw error
  }
}
