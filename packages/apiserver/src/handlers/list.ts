import { badRequest, StatusError } from '@centaurus/api'
import { CompactedError, FutureRevisionError, type Store } from '@centaurus/store'
import type { Target } from '../resource/target.ts'
import { splitStoreKey } from '../storage/keys.ts'
import { StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import type { Selection } from '../watch-cache/selection.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { waitSeen } from './arrived.ts'
import { decodeContinue, encodeContinue } from './continue-token.ts'

/** Entries read from the store at once for a page at an old revision. */
const STORE_PAGE_ENTRIES = 1_000

export interface ListRequest {
  readonly target: Target
  readonly selection: Selection
  /** 0: no limit. */
  readonly limit: number
  /** `''`: from the start. */
  readonly continueToken: string
  /** As in the query: `''`, `'0'` or a number. */
  readonly resourceVersion: string
  readonly resourceVersionMatch: string
}

export interface ListResult {
  readonly objects: readonly CachedObject[]
  readonly revision: number
  /** `''` at the end. */
  readonly continueToken: string
  /** Undefined when it is not known, which is so with selectors. */
  readonly remaining: number | undefined
}

export interface ListDeps {
  readonly store: Store
  readonly cache: WatchCache
}

/**
 * Lists objects with upstream's meaning of resourceVersion, limit and continue. Pages of one list show one moment: from the cache
 * while nothing changed, else from the store's history. Throws Expired when that is gone; BadRequest, Invalid.
 */
export async function listObjects(deps: ListDeps, request: ListRequest): Promise<ListResult> {
  const wanted = readWanted(request)
  const { tenant } = request.target
  switch (wanted.type) {
    case 'current':
      await deps.cache.waitCurrent()
      return listFromCache(deps.cache.revisionFor(tenant), request, wanted.from)
    case 'any':
      return listFromCache(deps.cache.revisionFor(tenant), request, '')
    case 'notOlderThan':
      await waitSeen(deps, request.target, wanted.revision)
      return listFromCache(deps.cache.revisionFor(tenant), request, '')
    case 'exact':
      await deps.cache.waitRevision(tenant, wanted.revision)
      if (request.target.cache.changedAt <= wanted.revision) return listFromCache(wanted.revision, request, wanted.from)
      return listFromStore(deps, request, wanted)
  }
}

type Wanted =
  | { readonly type: 'current'; readonly from: string }
  | { readonly type: 'any' }
  | { readonly type: 'notOlderThan'; readonly revision: number }
  | { readonly type: 'exact'; readonly revision: number; readonly from: string }

/** Source: apimachinery ValidateListOptions, and the table in Kubernetes' "API concepts" on resource versions. */
function readWanted({ continueToken, resourceVersion, resourceVersionMatch, limit }: ListRequest): Wanted {
  if (continueToken !== '') {
    if (resourceVersion !== '' && resourceVersion !== '0') {
      throw badRequest('specifying resource version is not allowed when using continue')
    }
    const { revision, from } = decodeContinue(continueToken)
    return revision < 0 ? { type: 'current', from } : { type: 'exact', revision, from }
  }
  if (resourceVersion === '') return { type: 'current', from: '' }
  const revision = parseRevision(resourceVersion)
  if (resourceVersionMatch === 'Exact') return { type: 'exact', revision, from: '' }
  if (revision === 0) return { type: 'any' }
  // Before resourceVersionMatch existed, a limit with a version meant that very version.
  if (resourceVersionMatch === '' && limit > 0) return { type: 'exact', revision, from: '' }
  return { type: 'notOlderThan', revision }
}

/** Reads a resourceVersion from a query; throws what upstream says. */
export function parseRevision(text: string): number {
  if (text === '') return 0
  const revision = /^[0-9]{1,19}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(revision)) return revision
  const why = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`
  throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: ${why}`)
}

/** The cache shows the state at `revision`. */
function listFromCache(revision: number, request: ListRequest, from: string): ListResult {
  const { target, selection, limit } = request
  const objects: CachedObject[] = []
  let last: CachedObject | undefined
  let rest = 0
  const countsRest = selection.isWholeNamespace
  for (const object of target.cache.range(selection.keyPrefix, from)) {
    if (!countsRest && !selection.matches(object)) continue
    if (limit > 0 && objects.length === limit) {
      rest++
      if (!countsRest) break
      continue
    }
    objects.push(object)
    last = object
  }
  if (rest === 0 || last === undefined) return { objects, revision, continueToken: '', remaining: undefined }
  const remaining = countsRest ? rest : undefined
  return {
    objects,
    revision,
    continueToken: encodeContinue({ revision, from: positionAfter(target, last) }),
    remaining,
  }
}

function positionAfter({ cache }: Target, object: CachedObject): string {
  return `${cache.positionOf(object)}\0`
}

async function listFromStore(
  deps: ListDeps,
  request: ListRequest,
  { revision, from }: { readonly revision: number; readonly from: string },
): Promise<ListResult> {
  const { target, selection, limit } = request
  const objects: CachedObject[] = []
  const readAt = target.cache.unchangedUntil(revision) // the newest that shows the same: the older one may be compacted
  try {
    for await (const { object, rest } of readSources(deps.store, request, { revision: readAt, from })) {
      if (!selection.matches(object)) continue
      if (limit > 0 && objects.length === limit) {
        const remaining = selection.isWholeNamespace ? rest : undefined
        const continueToken = encodeContinue({ revision, from: positionAfter(target, objects.at(-1)!) })
        return { objects, revision, continueToken, remaining }
      }
      objects.push(object)
    }
    return { objects, revision, continueToken: '', remaining: undefined }
  } catch (error) {
    if (error instanceof CompactedError) throw expiredList(from)
    if (error instanceof FutureRevisionError) throw badRequest(error.message)
    throw error
  }
}

/** What the store held at the revision, and how many there are from each on; undefined when several ranges make it costly to know. */
async function* readSources(
  store: Store,
  { target, selection }: ListRequest,
  { revision, from }: { readonly revision: number; readonly from: string },
): AsyncGenerator<{ readonly object: CachedObject; readonly rest: number | undefined }, void> {
  const sources = Array.from(target.cache.sources(selection.keyPrefix, from))
  for (const { prefix, from: first, show } of sources) {
    let next = first
    for (;;) {
      const page = await store.range(prefix, { atRevision: revision, from: next, limit: STORE_PAGE_ENTRIES })
      for (const [i, entry] of page.entries.entries()) {
        const object = new StoredObject(splitStoreKey(entry.key)!.objectKey, entry.value, entry.modRevision)
        yield { object: show(object), rest: sources.length === 1 ? page.count - i : undefined }
      }
      if (!page.more) break
      next = `${page.entries.at(-1)!.key}\0`
    }
  }
}

const EXPIRED_CONTINUE =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'

/** Source: apiserver pkg/storage/continue.go and etcd3/errors.go handleCompactedErrorForPaging. */
function expiredList(from: string): StatusError {
  if (from === '') {
    return new StatusError({
      reason: 'Expired',
      message: 'The resourceVersion for the provided list is too old.',
    })
  }
  return new ExpiredListError(encodeContinue({ revision: -1, from }))
}

/** 410 that carries a token to go on with, at the price of consistency. */
export class ExpiredListError extends StatusError {
  readonly #continueToken: string

  constructor(continueToken: string) {
    super({ reason: 'Expired', message: EXPIRED_CONTINUE })
    this.#continueToken = continueToken
  }

  override toStatus(): ReturnType<StatusError['toStatus']> {
    return { ...super.toStatus(), metadata: { continue: this.#continueToken } }
  }
}
