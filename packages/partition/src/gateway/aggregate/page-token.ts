import { badRequest } from '@centaurus/api'

/** Where a list over several partitions goes on. Partitions come one after the other, by name. */
export interface PagePosition {
  /** The moment of each partition that all pages show. */
  readonly versions: ReadonlyMap<string, string>
  /** Partition to go on in. */
  readonly partition: string
  /** That partition's own token; `''`: from its start. */
  readonly token: string
}

const KIND = 'centaurus.io/page'
const TOKEN_LENGTH_MAX = 64 * 1024

/** Opaque to clients. */
export function encodePage({ versions, partition, token }: PagePosition): string {
  const value = { v: KIND, rv: Object.fromEntries(versions), p: partition, t: token }
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** Undefined for a token that a partition made. Throws BadRequest for one that is damaged. */
export function decodePage(text: string): PagePosition | undefined {
  if (text.length > TOKEN_LENGTH_MAX) throw badRequest('invalid continue token: continue key is not valid: too long')
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
  const { v, rv, p, t } = (value ?? {}) as Record<string, unknown>
  if (v !== KIND) return undefined
  const isWhole = typeof rv === 'object' && rv !== null && typeof p === 'string' && typeof t === 'string'
  const versions = isWhole ? Object.entries(rv as Record<string, unknown>) : []
  if (!isWhole || versions.length === 0 || !versions.every(([, own]) => typeof own === 'string')) {
    throw badRequest('invalid continue token: continue key is not valid: incomplete')
  }
  return { versions: new Map(versions as [string, string][]), partition: p, token: t }
}
