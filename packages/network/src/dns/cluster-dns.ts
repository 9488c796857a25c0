import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { systemRandom, type Clock, type Logger, type Random } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import type { HeldSockets } from '../kernel/held-sockets.ts'
import { parseUpstream, type DnsUpstream } from './addresses.ts'
import { createDnsCounters, type DnsCounters } from './counters.ts'
import { createDnsScopes, type DnsClient } from './dns-client.ts'
import { startDnsServer } from './dns-server.ts'
import { Forwarder } from './forwarder.ts'
import { createDnsLookups } from './lookups.ts'
import { reportProblems } from './report-problems.ts'
import { Responder } from './responder.ts'
import { followSettings } from './settings-source.ts'

export interface ClusterDnsOptions {
  /** Over the view of all tenants. */
  readonly informers: InformerFactory
  /** As the node's agent, whose writes reach every tenant: tells of settings that are wrong. Without it they are only logged. */
  readonly client?: Client | undefined
  /** Address that pods ask, such as 10.96.0.10; it is put on the loopback device of this host. */
  readonly address: string
  /** Default 53. */
  readonly port?: number | undefined
  /** Of that address and port, if somebody holds them. */
  readonly sockets?: HeldSockets | undefined
  readonly domain: string
  /** The pod at an address of this host. */
  readonly clientAt: (address: string) => DnsClient | undefined
  readonly clock: Clock
  /** Default: the system's. */
  readonly random?: Random | undefined
  readonly logger: Logger
  /** The host's resolvers; default /etc/resolv.conf. */
  readonly resolvConf?: string | undefined
}

export interface ClusterDns {
  readonly counters: DnsCounters
  readonly port: number
  close(): Promise<void>
}

const run = promisify(execFile)
const RESOLV_CONF = '/etc/resolv.conf'
/** Source: resolv.conf(5) MAXNS. */
const HOST_UPSTREAMS_MAX = 3
/** The host's file is read again when this has passed. */
const HOST_REFRESH_MS = 5_000

/** Serves names to the pods of this host and to the host itself, on an address that only this host answers to. Needs root. */
export async function startClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  await run('ip', ['address', 'replace', `${options.address}/32`, 'dev', 'lo'])
  return serveClusterDns(options)
}

/** The same on an address that the host has already. */
export async function serveClusterDns(options: ClusterDnsOptions): Promise<ClusterDns> {
  const { informers, address, port, sockets, domain, clientAt, clock, random = systemRandom, logger, client } = options
  const counters = createDnsCounters()
  const lookups = createDnsLookups(informers, clock)
  const forwarder = new Forwarder({ clock, random, counters })
  const settings = followSettings(informers, {
    domain,
    address,
    logger,
    onChange: (owner) => forwarder.forget(owner),
    report: (configMap, problems) => {
      logger.warn('Left out what is wrong in settings of DNS', { namespace: configMap.metadata.namespace, problems })
      if (client !== undefined) void reportProblems(configMap, problems, { client, clock, logger })
    },
  })
  const responder = new Responder({
    domain,
    address,
    lookups,
    scopeOf: createDnsScopes({ clientAt, clock }),
    upstreams: { ...settings, hostUpstreams: hostUpstreams(options) },
    forwarder,
    counters,
    logger,
  })
  const server = await startDnsServer({ address, port, sockets, responder, counters, logger })
  return {
    counters,
    port: server.port,
    async close() {
      settings.close()
      await server.close()
    },
  }
}

/** Takes the address away again. */
export async function removeClusterDns(address: string): Promise<void> {
  await run('ip', ['address', 'delete', `${address}/32`, 'dev', 'lo']).catch(() => {}) // it was not there
}

function hostUpstreams({ address, clock, resolvConf = RESOLV_CONF }: ClusterDnsOptions): () => readonly DnsUpstream[] {
  let known: readonly DnsUpstream[] | undefined
  let readAtMs = 0
  return () => {
    const now = clock.monotonicMs()
    if (known !== undefined && now - readAtMs < HOST_REFRESH_MS) return known
    readAtMs = now
    known = readNameservers(resolvConf)
      .filter(({ host }) => host !== address)
      .slice(0, HOST_UPSTREAMS_MAX)
    return known
  }
}

/** Source: resolv.conf(5). A host without the file has no resolvers. */
function readNameservers(path: string): DnsUpstream[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    const server = parseUpstream(/^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    return server === undefined ? [] : [server]
  })
}
