import { openClusterCertificates } from '@centaurus/apiserver'
import { systemClock, systemRandom } from '@centaurus/base'
import { openEmbeddedStore } from '@centaurus/store'
import { startControlPlane } from '../control-plane.ts'
import type { PartitionSetup } from '../control-plane/partition-setup.ts'
import { createLogger } from '../logger.ts'

/** Loopback: a simulated cluster is reached by nobody else. */
const ADDRESS = '127.0.0.1'
/**
 * Revisions of history that a partition keeps. Under thousands of heartbeats a second five minutes of history, which is the rule
 * elsewhere, would be millions of revisions.
 */
const HISTORY_REVISIONS_MAX = 200_000

/** What a simulated partition's process is told, over its IPC channel. */
export interface PartitionOrder {
  readonly setup: PartitionSetup
  readonly port: number
  readonly storeDir: string
  readonly pkiDir: string
}

/** What it answers: undefined when it is ready, else why it is not. */
export interface PartitionReply {
  readonly error: string | undefined
}

/** Runs one partition of a simulated cluster: the real control plane over the real store. Ends with its parent. */
export async function runPartitionProcess(): Promise<void> {
  const ended = new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
  const order = await new Promise<PartitionOrder>((resolve) => process.once('message', resolve))
  const reply = (error: string | undefined): void => void process.send?.({ error } satisfies PartitionReply)
  try {
    const store = await openEmbeddedStore({
      path: order.storeDir,
      automaticCompaction: { revisionsMax: HISTORY_REVISIONS_MAX },
    })
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
    await ended
    await plane.close()
    await store.close()
  } catch (error) {
    reply((error as Error).stack ?? String(error))
    process.exitCode = 1
  }
}
