import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { chooseResolvConf, parseResolvConf } from '../pod/dns.ts'
import type { DnsConfig } from '../runtime/config.ts'
import { createLocalVolumes } from '../volumes/local-volumes.ts'
import { systemMounter } from '../volumes/mounts.ts'
import { systemDialer } from './dialer.ts'
import type { NodeHost } from './node-host.ts'
import { readFacts, readPressure, readUsage } from './system-facts.ts'
import { createSystemFiles } from './system-files.ts'

const RESOLV_CONF = '/etc/resolv.conf'
/** Servers that systemd-resolved asks. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf'
const NO_RESOLVERS: DnsConfig = { servers: [], searches: [], options: [] }

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
    resolvConf: async () =>
      chooseResolvConf((await readResolvConf(RESOLV_CONF)) ?? NO_RESOLVERS, await readResolvConf(RESOLVED_CONF)),
    dialer: systemDialer,
  }
}

async function readResolvConf(path: string): Promise<DnsConfig | undefined> {
  try {
    return parseResolvConf(await readFile(path, 'utf8'))
  } catch {
    return undefined // a host may be without it
  }
}
