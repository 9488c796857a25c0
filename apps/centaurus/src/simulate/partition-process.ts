import { openClusterCertificates } from '@centaurus/apiserver'
import { systemClock, systemRandom } from '@centaurus/base'
import {
  continueRevisions,
  openEmbeddedStore,
  REVISION_SPAN,
  timedRevisions,
  withRevisionBase,
  type Store,
} from '@centaurus/store'
import { startControlPlane } from '../control-plane.ts'
import type { PartitionSetup } from '../control-plane/partition-setup.ts'
import { createLogger } from '../logger.ts'

/** Loopback: a simulated cluster is reached by nobody else. */
const ADDRESS = '127.0.0.1'
/**
 * Commits of history that a partition keeps. Under thousands of heartbeats a second five minutes of history, which is the rule
 * elsewhere, would be millions of commits.
 */
const HISTORY_REVISIONS_MAX = 200_000

/** What a simulated partition's process is told, over its IPC channel. */
export interface PartitionOrder {
  readonly setup: PartitionSetup
  /** Which partition of the cluster it is, from 0: home. */
  readonly index: number
  readonly port: number
  readonly storeDir: string
  readonly pkiDir: string
}

/** What it tells: that it is ready, or why it is not; and then, once a second, how often its store has flushed. */
export type PartitionReply =
  | { readonly type: 'started'; readonly error: string | undefined }
  | { readonly type: 'flushes'; readonly flushes: number }

const TELL_MS = 1_000

/** The terminal's signals go to every process of its group: the parent decides what comes of them. */
export function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
}

/** Runs one partition of a simulated cluster: the real control plane over the real store. Ends with its parent. */
export async function runPartitionProcess(): Promise<void> {
  ignoreSignals()
  const ended = new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
  const order = await new Promise<PartitionOrder>((resolve) => process.once('message', resolve))
  const reply = (error: string | undefined): void => tell({ type: 'started', error })
  try {
    let flushes = 0
    const store = await openStore(order, () => flushes++)
    const plane = await startControlPlane({
      store,
      certificates: await openClusterCertificates({ directory: order.pkiDir }),
      port: order.port,
      host: ADDRESS,
      advertiseAddress: ADDRESS,
      partition: order.setup,
      clock: systemClock,
      random: systemRandom,
      logger: createLogger('warn'),
    })
    reply(undefined)
    const timer = setInterval(() => tell({ type: 'flushes', flushes }), TELL_MS)
    await ended
    clearInterval(timer)
    await plane.close()
    await store.close()
  } catch (error) {
    reply((error as Error).stack ?? String(error))
    process.exitCode = 1
  }
}

/** As a partition of a real cluster opens it, but for how much history it keeps. */
async function openStore({ storeDir, index }: PartitionOrder, onFlush: () => void): Promise<Store> {
  const automaticCompaction = { revisionsMax: HISTORY_REVISIONS_MAX }
  const revisions = timedRevisions(systemClock)
  const store = await openEmbeddedStore({ path: storeDir, automaticCompaction, revisions, onFlush })
  return withRevisionBase(await continueRevisions(store), index * REVISION_SPAN)
}

function tell(reply: PartitionReply): void {
  if (process.connected) process.send?.(reply)
}
