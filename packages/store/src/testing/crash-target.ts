import { openEmbeddedStore } from '../embedded/embedded-store.ts'
import { openEtcdStore } from '../etcd/etcd-store.ts'
import type { Store } from '../store.ts'

/** Which store a process that will be killed writes to. */
export type CrashTarget =
  /** An empty directory, or one from earlier rounds. */
  | { readonly engine: 'embedded'; readonly path: string }
  | { readonly engine: 'etcd'; readonly endpoints: readonly string[] }

export function openCrashTarget(target: CrashTarget): Promise<Store> {
  return target.engine === 'embedded' ? openEmbeddedStore(target) : openEtcdStore(target)
}
