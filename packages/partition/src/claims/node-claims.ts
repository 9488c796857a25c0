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

/** All claims on one node, and their exact sum, made when it is first asked for. Immutable. */
export interface NodeClaims {
  readonly claims: readonly Claim[]
  readonly used: Amounts
}

export const NO_CLAIMS: NodeClaims = { claims: [], used: {} }

export function sumClaims(claims: readonly Claim[]): NodeClaims {
  return claims.length === 0 ? NO_CLAIMS : new SummedClaims(claims)
}

class SummedClaims implements NodeClaims {
  readonly claims: readonly Claim[]
  #used: Record<string, number> | undefined

  constructor(claims: readonly Claim[]) {
    this.claims = claims
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

interface StoredNodeClaims {
  readonly claims: readonly (Omit<ClaimTerms, 'ports' | 'priority'> & {
    readonly ports?: readonly HostPort[]
    readonly priority?: number
    /** uid and name of each. */
    readonly pods: readonly (readonly [string, string])[]
  })[]
}

/** The bytes that the store keeps for a node: JSON, claims of equal terms together. */
export function encodeNodeClaims({ claims }: NodeClaims): Uint8Array {
  const groups = new Map<ClaimTerms, [string, string][]>()
  for (const { uid, name, terms } of claims) {
    const pods = groups.get(terms)
    if (pods === undefined) groups.set(terms, [[uid, name]])
    else pods.push([uid, name])
  }
  const stored: StoredNodeClaims = {
    claims: Array.from(groups, ([{ ports, priority, ...terms }, pods]) => ({
      ...terms,
      ...(ports.length > 0 ? { ports } : {}),
      ...(priority !== 0 ? { priority } : {}),
      pods,
    })),
  }
  const text = JSON.stringify(stored)
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text)) // no pool that a small value would keep alive
  bytes.write(text)
  return bytes
}

/** Inverse of {@link encodeNodeClaims}. Throws `SyntaxError` for bytes that it did not make. */
export function decodeNodeClaims(bytes: Uint8Array, table: TermsTable): NodeClaims {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const { claims } = JSON.parse(text) as StoredNodeClaims
  return sumClaims(
    claims.flatMap(({ pods, partition, tenant, namespace, epoch, requests, ports = NO_PORTS, priority = 0 }) => {
      const terms = table.share({ partition, tenant, namespace, epoch, priority, requests, ports })
      return pods.map(([uid, name]) => ({ uid, name, terms }))
    }),
  )
}
