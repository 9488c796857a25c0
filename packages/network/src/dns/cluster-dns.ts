import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Clock, Logger } from '@centaurus/base'
import type { InformerFactory } from '@centaurus/client'
import { createDnsScopes, type DnsClient } from './dns-client.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { createDnsLookups } from './lookups.ts'

export interface ClusterDnsOptions {
  readonly informers: InformerFactory
  /** Address that pods ask, such as 10.96.0.10; it is put on the loopback device of this host. */
  readonly address: string
  readonly domain: string
  /** The pod at an address of this host. */
  readonly clientAt: (address: string) => DnsClient | undefined
  readonly clock: Clock
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
  clientAt,
  clock,
  logger,
}: ClusterDnsOptions): Promise<DnsServer> {
  await run('ip', ['address', 'replace', `${address}/32`, 'dev', 'lo'])
  return startDnsServer({
    address,
    domain,
    lookups: createDnsLookups(informers),
    scopeOf: createDnsScopes({ clientAt, clock }),
    logger,
    upstreams: async () =>
      parseNameservers(await readFile(RESOLV_CONF, 'utf8').catch(() => '')).filter((server) => server !== address),
  })
}

/** Source: resolv.conf(5). */
function parseNameservers(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
}

/** Takes the address away again. */
export async function removeClusterDns(address: string): Promise<void> {
  await run('ip', ['address', 'delete', `${address}/32`, 'dev', 'lo']).catch(() => {}) // it was not there
}
