import type { NamedRule } from '../daemon/drop-log.ts'

/** The answer to "may this reach that": the JSON of `centaurus network explain`. */
export interface Explanation {
  /** Of a Service: whether all of its endpoints may be reached. */
  readonly allowed: boolean
  readonly source: NamedPlace
  /** Set when the target leads to other places. */
  readonly service: DescribedService | undefined
  /** One, or one for each endpoint of the Service. */
  readonly paths: readonly ExplainedPath[]
  readonly notes: readonly string[]
}

export interface NamedPlace {
  readonly kind: 'Pod' | 'Node' | 'Address'
  /** `namespace/name` of a pod. */
  readonly name: string
  readonly address: string
  /** 0 for the source. */
  readonly port: number
}

export interface DescribedService {
  /** `namespace/name`. */
  readonly name: string
  readonly address: string
  readonly port: number
}

export interface ExplainedPath {
  readonly destination: NamedPlace
  readonly allowed: boolean
  /** What the sender's policies say. */
  readonly egress: DirectionVerdict
  /** What the receiver's policies say. */
  readonly ingress: DirectionVerdict
  /** Of a destination in the world. */
  readonly wayOut?: WayOut | undefined
}

/** How a packet leaves for the world. */
export interface WayOut {
  readonly allowed: boolean
  /** That the world sees; undefined: none, or it is not known. */
  readonly address: string | undefined
  /** By which it leaves. */
  readonly node: string | undefined
  /** A sentence. */
  readonly why: string
}

export interface DirectionVerdict {
  readonly allowed: boolean
  /** Whether policies refuse, in this direction, what they do not allow. */
  readonly isolated: boolean
  /** What decided; undefined: nothing did, which is open. */
  readonly rule: ExplainedRule | undefined
  /** A sentence. */
  readonly why: string
}

export interface ExplainedRule extends NamedRule {
  /** The rule itself as JSON; empty when it is the isolation. */
  readonly text: string
}
