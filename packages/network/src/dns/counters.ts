import { RCODE } from './protocol.ts'

/** Numbers since the start, for whoever exports them. */
export interface DnsCounters {
  /** By what was asked for, then by the code of the answer, such as `queries.cluster.NXDOMAIN`. */
  readonly queries: Record<DnsQueryKind, Record<string, number>>
  /** Messages that deserve no answer. */
  ignored: number
  /** Answers over UDP that were cut. */
  truncated: number
  /** TCP connections that were closed because there were too many. */
  connectionsRefused: number
  readonly forwards: { answered: number; failed: number; retried: number; overload: number }
  cacheHits: number
  cacheMisses: number
}

/** `refused`: not understood, or who asks is not known. */
export type DnsQueryKind = 'cluster' | 'reverse' | 'forwarded' | 'refused'

const NAMES = new Map<number, string>(Object.entries(RCODE).map(([name, code]) => [code, name]))

/** All at 0. */
export function createDnsCounters(): DnsCounters {
  return {
    queries: { cluster: {}, reverse: {}, forwarded: {}, refused: {} },
    ignored: 0,
    truncated: 0,
    connectionsRefused: 0,
    forwards: { answered: 0, failed: 0, retried: 0, overload: 0 },
    cacheHits: 0,
    cacheMisses: 0,
  }
}

/** Counts one answer. */
export function countQuery({ queries }: DnsCounters, kind: DnsQueryKind, rcode: number): void {
  const name = NAMES.get(rcode) ?? `RCODE${rcode}`
  queries[kind][name] = (queries[kind][name] ?? 0) + 1
}
