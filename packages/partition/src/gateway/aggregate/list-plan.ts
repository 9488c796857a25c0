import { badRequest, expired } from '@centaurus/api'
import type { PartCall } from './fan-out.ts'
import { parseVersion } from './composite-version.ts'
import { decodePage } from './page-token.ts'

/** How a list over several partitions is put together. */
export type ListPlan =
  /** All at once. */
  | { readonly type: 'whole'; readonly calls: readonly PartCall[] }
  /** The first page: from the first partition, while the others tell what moment they are at. */
  | { readonly type: 'first'; readonly limit: number; readonly calls: readonly PartCall[] }
  /** A later page. */
  | {
      readonly type: 'next'
      readonly limit: number
      readonly partition: string
      readonly token: string
      readonly versions: ReadonlyMap<string, string>
    }

/** Decides how to list. Pure. Throws BadRequest, and Expired for positions that say nothing about these partitions. */
export function planList(query: URLSearchParams, partitions: readonly string[]): ListPlan {
  const limit = readLimit(query)
  const token = query.get('continue') ?? ''
  if (token !== '') {
    const page = decodePage(token)
    if (page === undefined) throw expired(OLD_TOKEN)
    if (![...page.versions.keys()].every((name) => partitions.includes(name))) throw expired(OLD_TOKEN)
    return { type: 'next', limit, partition: page.partition, token: page.token, versions: page.versions }
  }
  const calls = atVersions(query, partitions)
  if (limit === 0) return { type: 'whole', calls }
  for (const { query } of calls.slice(1)) query.set('limit', '1')
  return { type: 'first', limit, calls }
}

const OLD_TOKEN =
  'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.'

/** One call a partition, each with its own part of a composite resourceVersion. */
export function atVersions(query: URLSearchParams, partitions: readonly string[]): PartCall[] {
  const asked = query.get('resourceVersion') ?? ''
  const version = parseVersion(asked)
  // an object's own resourceVersion belongs to one partition and says nothing of the others
  if (version === undefined && /^[1-9][0-9]*$/.test(asked)) throw expired(`too old resource version: ${asked}`)
  if (version !== undefined && ![...version.keys()].every((name) => partitions.includes(name))) {
    throw expired('too old resource version: a partition has left the cluster')
  }
  return partitions.map((partition) => {
    const own = new URLSearchParams(query)
    const part = version?.get(partition)
    if (part !== undefined) own.set('resourceVersion', part)
    else if (version !== undefined) {
      // it has joined since: everything there is new
      own.delete('resourceVersion')
      if (own.get('sendInitialEvents') === null) own.delete('resourceVersionMatch')
    }
    return { partition, query: own }
  })
}

/** The query for a partition's share of a page: its next one, or its first at a moment that is known. */
export function pageQuery(
  query: URLSearchParams,
  { limit, token, version }: { readonly limit: number; readonly token: string; readonly version: string },
): URLSearchParams {
  const own = new URLSearchParams(query)
  own.set('limit', String(limit))
  for (const name of ['continue', 'resourceVersion', 'resourceVersionMatch']) own.delete(name)
  if (token !== '') own.set('continue', token)
  else {
    own.set('resourceVersion', version)
    own.set('resourceVersionMatch', 'Exact')
  }
  return own
}

function readLimit(query: URLSearchParams): number {
  const text = query.get('limit') ?? ''
  if (text === '') return 0
  const limit = /^[-+]?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(limit)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Math.max(0, limit)
}
