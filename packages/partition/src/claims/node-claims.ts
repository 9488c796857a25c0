import { NO_PORTS, type Amounts, type HostPort } from './model.ts'

/** What several claims have in common; shared between them, so that a claim costs little. */
export interface ClaimTerms {
  /** Tenant partition that claimed. */
  readonly partition: string
  readonly tenant: string
  readonly namespace: string
  /** Of the partition's scheduler when it claimed, or claimed again. */
  readonly epoch: number
  readonly priority: number
  readonly requests: Amounts
  readonly ports: readonly HostPort[]
}

/** Room on a node that was given to a pod. */
export interface Claim {
  readonly uid: string
  readonly name: string
  readonly terms: ClaimTerms
}

/** Room that is kept for a pod until those in its way have left. */
export interface Nomination extends Claim {
  /** Claims that must go, by uid; some may have gone. */
  readonly victims: readonly string[]
}

/** All claims on one node, what is kept for whom, and their exact sum, made when it is first asked for. Immutable. */
export interface NodeClaims {
  readonly claims: readonly Claim[]
  /** By claims alone. */
  readonly used: Amounts
  readonly nominations: readonly Nomination[]
}

/** Shared by all nodes without any. */
export const NO_NOMINATIONS: readonly Nomination[] = []
export const NO_CLAIMS: NodeClaims = { claims: [], used: {}, nominations: NO_NOMINATIONS }

export function sumClaims(claims: readonly Claim[], nominations: readonly Nomination[] = NO_NOMINATIONS): NodeClaims {
  return claims.length + nominations.length === 0 ? NO_CLAIMS : new SummedClaims(claims, nominations)
}

/** Whether there is nothing to remember of a node. */
export function isNothing({ claims, nominations }: NodeClaims): boolean {
  return claims.length + nominations.length === 0
}

class SummedClaims implements NodeClaims {
  readonly claims: readonly Claim[]
  readonly nominations: readonly Nomination[]
  #used: Record<string, number> | undefined

  constructor(claims: readonly Claim[], nominations: readonly Nomination[]) {
    this.claims = claims
    this.nominations = nominations
  }

  get used(): Amounts {
    if (this.#used !== undefined) return this.#used
    const used: Record<string, number> = {}
    for (const { terms } of this.claims) addAmounts(used, terms.requests)
    return (this.#used = used)
  }
}

/** Adds in place. Sums hold no zeros, so that equal ones look equal. */
export function addAmounts(sum: Record<string, number>, amounts: Amounts): void {
  for (const name in amounts) {
    const amount = amounts[name]!
    if (amount !== 0) sum[name] = (sum[name] ?? 0) + amount
  }
}

/** Subtracts in place; what comes to nothing is left out. */
export function subtractAmounts(sum: Record<string, number>, amounts: Amounts): void {
  for (const name in amounts) {
    const rest = (sum[name] ?? 0) - amounts[name]!
    if (rest === 0) delete sum[name]
    else sum[name] = rest
  }
}

/** Whether two ports of one host can't be given out both. Source: HostPortInfo.CheckConflict, kube-scheduler framework/types.go v1.37. */
export function portsConflict(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false
  return a.ip === b.ip || a.ip === ANY_IP || b.ip === ANY_IP
}

const ANY_IP = '0.0.0.0'

/** Different terms that are remembered for sharing; beyond, the table starts over and sharing with older ones ends. About 300 bytes each. */
const TERMS_MAX = 16_384

/** Gives equal terms one object. */
export class TermsTable {
  readonly #known = new Map<string, ClaimTerms>()

  share(terms: ClaimTerms): ClaimTerms {
    const key = JSON.stringify(terms)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    if (this.#known.size >= TERMS_MAX) this.#known.clear()
    this.#known.set(key, terms)
    return terms
  }
}

type StoredTerms = Omit<ClaimTerms, 'ports' | 'priority'> & {
  readonly ports?: readonly HostPort[]
  readonly priority?: number
}

interface StoredNodeClaims {
  readonly claims: readonly (StoredTerms & {
    /** uid and name of each. */
    readonly pods: readonly (readonly [string, string])[]
  })[]
  readonly nominations?: readonly (StoredTerms & Omit<Nomination, 'terms'>)[]
}

/** The bytes that the store keeps for a node: JSON, claims of equal terms together. */
export function encodeNodeClaims({ claims, nominations }: NodeClaims): Uint8Array {
  const groups = new Map<ClaimTerms, [string, string][]>()
  for (const { uid, name, terms } of claims) {
    const pods = groups.get(terms)
    if (pods === undefined) groups.set(terms, [[uid, name]])
    else pods.push([uid, name])
  }
  const promised = nominations.map(({ terms, ...nomination }) => ({ ...storedTerms(terms), ...nomination }))
  const stored: StoredNodeClaims = {
    claims: Array.from(groups, ([terms, pods]) => ({ ...storedTerms(terms), pods })),
    ...(promised.length > 0 ? { nominations: promised } : {}),
  }
  const text = JSON.stringify(stored)
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text)) // no pool that a small value would keep alive
  bytes.write(text)
  return bytes
}

function storedTerms({ ports, priority, ...terms }: ClaimTerms): StoredTerms {
  return { ...terms, ...(ports.length > 0 ? { ports } : {}), ...(priority !== 0 ? { priority } : {}) }
}

/** Inverse of {@link encodeNodeClaims}. Throws `SyntaxError` for bytes that it did not make. */
export function decodeNodeClaims(bytes: Uint8Array, table: TermsTable): NodeClaims {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const { claims, nominations } = JSON.parse(text) as StoredNodeClaims
  const termsOf = ({ partition, tenant, namespace, epoch, requests, ports = NO_PORTS, priority = 0 }: StoredTerms) =>
    table.share({ partition, tenant, namespace, epoch, priority, requests, ports })
  return sumClaims(
    claims.flatMap(({ pods, ...rest }) => {
      const terms = termsOf(rest)
      return pods.map(([uid, name]) => ({ uid, name, terms }))
    }),
    nominations?.map(({ uid, name, victims, ...rest }) => ({ uid, name, victims, terms: termsOf(rest) })),
  )
}
