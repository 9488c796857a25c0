import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Logger } from '@centaurus/base'
import type { InformerFactory } from '@centaurus/client'
import { parseResolvConf } from '../pod/dns.ts'
import { createDnsClients, type DnsClientsOptions } from './dns-client.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { createDnsLookups } from './lookups.ts'

export interface ClusterDnsOptions {
  readonly informers: InformerFactory
  /** Address that pods ask, such as 10.96.0.10; it is put on the loopback device of this host. */
  readonly address: string
  readonly domain: string
  readonly clients: DnsClientsOptions
  readonly logger: Logger
}

const run = promisify(execFile)
const RESOLV_CONF = '/etc/resolv.conf'

/**
 * Serves the cluster's names to the pods of this host, on an address that only this host answers to. Needs root. The network's own
 * resolver takes its place later.
 */
export async function startClusterDns({
  informers,
  address,
  domain,
  clients,
  logger,
}: ClusterDnsOptions): Promise<DnsServer> {
  await run('ip', ['address', 'replace', `${address}/32`, 'dev', 'lo'])
  return startDnsServer({
    address,
    domain,
    lookups: createDnsLookups(informers),
    clientAt: createDnsClients(clients),
    logger,
    upstreams: async () =>
      parseResolvConf(await readFile(RESOLV_CONF, 'utf8').catch(() => '')).servers.filter(
        (server) => server !== address,
      ),
  })
}

/** Takes the address away again. */
export async function removeClusterDns(address: string): Promise<void> {
  await run('ip', ['address', 'delete', `${address}/32`, 'dev', 'lo']).catch(() => {}) // it was not there
}
