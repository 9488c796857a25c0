import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parseResolvConf } from '../pod/dns.ts'
import { createLocalVolumes } from '../volumes/local-volumes.ts'
import { systemMounter } from '../volumes/mounts.ts'
import { systemDialer } from './dialer.ts'
import type { NodeHost } from './node-host.ts'
import { readFacts, readPressure, readUsage } from './system-facts.ts'
import { createSystemFiles } from './system-files.ts'

/** This machine, with the agent's files below `rootDir`. Needs root to mount volumes of memory. */
export async function createSystemHost({ rootDir }: { readonly rootDir: string }): Promise<NodeHost> {
  await mkdir(rootDir, { recursive: true })
  const localVolumes = createLocalVolumes({ dir: join(rootDir, 'local-volumes'), mounter: systemMounter })
  return {
    files: createSystemFiles({ rootDir, mounter: systemMounter, localVolumes }),
    localVolumes,
    facts: () => readFacts(rootDir),
    pressure: () => readPressure(rootDir),
    usage: readUsage,
    resolvConf: async () => parseResolvConf(await readFile('/etc/resolv.conf', 'utf8').catch(() => '')),
    dialer: systemDialer,
  }
}
