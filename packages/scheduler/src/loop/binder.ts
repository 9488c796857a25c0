import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import type { HostPort } from '../core/pod-footprint.ts'
import { bindPod } from './writes.ts'

/** One decision to make real. */
export interface BindItem {
  readonly pod: Stored<Pod>
  readonly nodeName: string
  /** By resource: cpu in milli-cores, everything else in units; `pods` is 1. Resources that the pod does not ask for are absent. */
  readonly requests: Readonly<Record<string, number>>
  readonly ports: readonly HostPort[]
}

export type BindResult =
  | { readonly type: 'bound' }
  /** The owner of the node has no room for it. `free` is what it has left, in the units of {@link BindItem.requests}. */
  | { readonly type: 'refused'; readonly reason: string; readonly free?: Readonly<Record<string, number>> | undefined }
  | { readonly type: 'failed'; readonly error: Error }

/** Makes decisions real. Several calls may be under way at once; pods are counted on their nodes from the decision on. */
export interface Binder {
  /** One result an item, in order. What it throws counts as the failure of all items. */
  bind(items: readonly BindItem[]): Promise<readonly BindResult[]>
}

/** Writes a Binding for each pod, side by side. */
export function createClientBinder(client: Client): Binder {
  const bindOne = async ({ pod, nodeName }: BindItem): Promise<BindResult> => {
    try {
      await bindPod(client, pod, nodeName)
      return { type: 'bound' }
    } catch (error) {
      return { type: 'failed', error: error instanceof Error ? error : new Error(String(error)) }
    }
  }
  return { bind: (items) => Promise.all(items.map(bindOne)) }
}
