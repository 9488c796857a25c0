import { isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import { ingressclasses } from '@centaurus/api/networking/v1'
import { runtimeclasses } from '@centaurus/api/node/v1'
import { deviceclasses } from '@centaurus/api/resource/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { planClasses } from './plan-classes.ts'

/** Kinds of which operators offer some to tenants. */
export const CLASS_TYPES: readonly ResourceType<KubeObject>[] = [
  storageclasses as ResourceType<KubeObject>,
  priorityclasses as ResourceType<KubeObject>,
  ingressclasses as ResourceType<KubeObject>,
  runtimeclasses as ResourceType<KubeObject>,
  deviceclasses as ResourceType<KubeObject>,
]

export interface ClassesDeps {
  readonly reader: ObjectReader
  /** Of the tenant. */
  readonly client: Client
}

/** Gives the tenant copies of the classes that operators offer now. */
export async function reconcileClasses(tenant: string, { reader, client }: ClassesDeps): Promise<void> {
  for (const type of CLASS_TYPES) {
    const plan = planClasses<KubeObject>(reader.list(type), reader.list(type, undefined, { tenant }))
    for (const object of plan.create) await unless('AlreadyExists', client.create(type, object))
    for (const object of plan.update) await client.update(type, object)
    for (const name of plan.remove) await unless('NotFound', client.delete(type, { name }))
  }
}

async function unless(reason: 'AlreadyExists' | 'NotFound', write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (!isStatus(error, reason)) throw error
  }
}
