import { systemClock } from '@centaurus/base'
import { openEmbeddedStore } from '../embedded/embedded-store.ts'
import { openEtcdStore } from '../etcd/etcd-store.ts'
import { timedRevisions } from '../mvcc/revision-numbers.ts'
import type { Store } from '../store.ts'

/** Which store a process that will be killed writes to. */
export type CrashTarget =
  /** An empty directory, or one from earlier rounds. */
  | { readonly engine: 'embedded'; readonly path: string; readonly isTimed: boolean }
  | { readonly engine: 'etcd'; readonly endpoints: readonly string[] }

export function openCrashTarget(target: CrashTarget): Promise<Store> {
  if (target.engine === 'etcd') return openEtcdStore(target)
  const { path, isTimed } = target
  return openEmbeddedStore({ path, revisions: isTimed ? timedRevisions(systemClock) : undefined })
}
