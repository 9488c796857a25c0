import type { Answer } from 'dns-packet'
import type { DnsLookups } from './lookups.ts'
import { TYPE } from './protocol.ts'

/** A name in lower case without the dot at the end, and the number of a type. */
export interface DnsQuestion {
  readonly name: string
  readonly type: number
}

/** Where names are looked up, and for whom. */
export interface DnsContext {
  /** Such as `cluster.local`. */
  readonly domain: string
  /** Where pods ask, such as 10.96.0.10. */
  readonly address: string
  readonly lookups: DnsLookups
  /** Whose pod asks; undefined: the operators', or a program of the host. */
  readonly tenant?: string | undefined
  /** Names of ExternalName services that led here. */
  readonly depth?: number | undefined
}

export type DnsAnswer =
  | {
      readonly type: 'records'
      readonly answers: readonly Answer[]
      readonly additionals?: readonly Answer[] | undefined
      /** Name of others that the last answer leads to: what upstream says of it comes behind. */
      readonly follow?: string | undefined
    }
  /** The name exists without records of this type. */
  | { readonly type: 'noData' }
  | { readonly type: 'notFound' }
  /** Not a name of the cluster: ask upstream. */
  | { readonly type: 'forward' }
  | { readonly type: 'refused' }

/** Source: CoreDNS' kubernetes plugin as kubeadm configures it. */
export const TTL_SECONDS = 30
export const NO_DATA: DnsAnswer = { type: 'noData' }
export const NOT_FOUND: DnsAnswer = { type: 'notFound' }

/** A question about a name of the cluster with what answers it. */
export interface DnsLookup extends DnsContext {
  readonly question: DnsQuestion
}

/** Whether a name is below another one. */
export function isWithin(name: string, domain: string): boolean {
  return name.length > domain.length && name.endsWith(domain) && name[name.length - domain.length - 1] === '.'
}

/** `ANY` is answered with what there is at hand. Source: RFC 8482 section 4.1. */
export function asksFor({ type }: DnsQuestion, wanted: number): boolean {
  return type === wanted || type === TYPE.ANY
}

/** A records of the name that was asked for. */
export function addresses({ question }: DnsLookup, list: Iterable<string>): DnsAnswer {
  if (!asksFor(question, TYPE.A)) return NO_DATA
  const answers = Array.from(list, (data): Answer => ({ type: 'A', name: question.name, ttl: TTL_SECONDS, data }))
  return { type: 'records', answers }
}
