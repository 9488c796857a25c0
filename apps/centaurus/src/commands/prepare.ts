import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEmbeddedStore } from '@centaurus/store'
import { startCluster } from '../cluster.ts'

/**
 * Runs what a cluster runs, for a moment, so that Node leaves its compiled code in `NODE_COMPILE_CACHE`: the launcher calls it
 * after an installation.
 */
export async function prepare(): Promise<void> {
  const cluster = await startCluster({ simulatedNodes: 1 })
  await cluster.close()
  const directory = mkdtempSync(join(tmpdir(), 'centaurus-prepare-'))
  try {
    const store = await openEmbeddedStore({ path: join(directory, 'store') }) // has a thread of its own
    await store.close()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  await Promise.all([import('./control-plane.ts'), import('./node.ts')])
}
