import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import type { DnsUpstream } from '../addresses.ts'
import type { UpstreamSources } from '../choose-upstreams.ts'
import { createDnsCounters, type DnsCounters } from '../counters.ts'
import type { DnsScope } from '../dns-client.ts'
import { Forwarder, type ForwarderOptions } from '../forwarder.ts'
import { Responder } from '../responder.ts'
import { exampleZone, lookupsOf, type Zone } from './zone.ts'

export interface TestResponder {
  readonly zone: Zone
  readonly counters: DnsCounters
  readonly responder: Responder
}

export interface TestResponderOptions {
  readonly zone?: Zone | undefined
  readonly upstreams?: readonly DnsUpstream[] | undefined
  readonly settings?: Partial<UpstreamSources> | undefined
  /** Default: 10.244.0.2 is a pod of acme, everything on 127.0.0.0/8 the host. */
  readonly scopeOf?: ((address: string) => DnsScope) | undefined
  readonly exchange?: ForwarderOptions['exchange']
}

/** Answers about an example zone, with servers of the test's own behind it. */
export function createTestResponder(options: TestResponderOptions = {}): TestResponder {
  const zone = options.zone ?? exampleZone()
  const counters = createDnsCounters()
  const { exchange } = options
  const forwarder = new Forwarder({ clock: systemClock, random: createSeededRandom(1), counters, exchange })
  const responder = new Responder({
    domain: 'cluster.local',
    address: '10.96.0.10',
    lookups: lookupsOf(zone),
    scopeOf: options.scopeOf ?? defaultScope,
    upstreams: {
      settingsOf: () => undefined,
      clusterSettings: () => undefined,
      hostUpstreams: () => options.upstreams ?? [],
      ...options.settings,
    },
    forwarder,
    counters,
    logger: silentLogger,
  })
  return { zone, counters, responder }
}

function defaultScope(address: string): DnsScope {
  if (address === '10.244.0.2') return { type: 'tenant', tenant: 'acme' }
  return address.startsWith('127.') ? { type: 'operator' } : { type: 'unknown' }
}
