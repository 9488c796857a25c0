import { StatusError } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import { chooseFormat, type MergeFormat } from './accept.ts'
import { formatVersion } from './composite-version.ts'
import { fanOut, PartRefusal, warningOf, type AggregateContext, type FanOutOptions, type Part } from './fan-out.ts'
import { pageQuery, planList, type ListPlan } from './list-plan.ts'
import { JsonMergedList, ProtobufMergedList, type KeepItem, type MergedList, type PartFacts } from './merged-list.ts'
import { encodePage } from './page-token.ts'

export interface MergeListOptions {
  readonly partitions: readonly string[]
  readonly query: URLSearchParams
  /** Absent: everything. */
  readonly keep?: KeepItem | undefined
}

/**
 * Answers a list with what all the partitions have, one after the other by name. Its resourceVersion is composite; objects keep their
 * own. Pages show one moment of each partition. Throws before the answer begins; later failures break it off.
 */
export async function mergeList(context: AggregateContext, options: MergeListOptions): Promise<void> {
  const format = chooseFormat(context.request.headers.accept)
  const plan = planList(options.query, options.partitions)
  if (plan.type === 'whole') return mergeWhole(context, { ...options, format, plan })
  if (plan.type === 'first') return mergeFirstPage(context, { ...options, format, plan })
  return mergeNextPage(context, { ...options, format, plan })
}

/** Deletes the collection in all the partitions and answers with everything that was there. */
export async function broadcastDelete(
  context: AggregateContext,
  options: MergeListOptions & { readonly body: Uint8Array },
): Promise<void> {
  const format = chooseFormat(context.request.headers.accept)
  const calls = options.partitions.map((partition) => ({ partition, query: options.query }))
  const body = options.body.length === 0 ? undefined : options.body
  const contentType = context.request.headers['content-type']
  const asked = await fanOut(context, calls, { accept: format.accept, method: 'DELETE', body, contentType })
  await writeWhole(context, asked, { ...options, format })
}

type Merge<Plan> = MergeListOptions & { readonly format: MergeFormat; readonly plan: Plan }
type PlanOf<Type extends ListPlan['type']> = Extract<ListPlan, { readonly type: Type }>

async function mergeWhole(context: AggregateContext, merge: Merge<PlanOf<'whole'>>): Promise<void> {
  await writeWhole(context, await fanOut(context, merge.plan.calls, { accept: merge.format.accept }), merge)
}

async function writeWhole(
  context: AggregateContext,
  { parts, missing }: { readonly parts: readonly Part[]; readonly missing: readonly string[] },
  { format, keep }: Pick<Merge<unknown>, 'format' | 'keep'>,
): Promise<void> {
  const list = openList(context, { format, keep, missing })
  const versions = new Map<string, string>()
  for (const part of parts) versions.set(part.partition, (await list.add(part)).version)
  list.finish({ resourceVersion: formatVersion(versions) })
}

async function mergeFirstPage(context: AggregateContext, merge: Merge<PlanOf<'first'>>): Promise<void> {
  const { format, plan, keep } = merge
  const { parts, missing } = await fanOut(context, plan.calls, { accept: format.accept })
  const [first, ...others] = parts
  const versions = new Map<string, string>()
  const facts = await Promise.all(others.map((part) => readFacts(part, context, format)))
  for (const [i, { version }] of facts.entries()) versions.set(others[i]!.partition, version)
  const list = openList(context, { format, keep, missing })
  const own = await list.add(first!)
  versions.set(first!.partition, own.version)
  // those that hold nothing need not be asked again
  const left = others.flatMap((part, i) => (facts[i]!.items === 0 ? [] : [part.partition]))
  await fillPage(context, merge, { list, versions, left, at: first!.partition, own, limit: plan.limit })
}

async function mergeNextPage(context: AggregateContext, merge: Merge<PlanOf<'next'>>): Promise<void> {
  const { format, plan, keep } = merge
  const { partition, token, versions, limit } = plan
  const query = pageQuery(merge.query, { limit, token, version: versions.get(partition) ?? '' })
  const { parts } = await fanOut(context, [{ partition, query }], { accept: format.accept }).catch((error: unknown) => {
    throw wrapToken(error, (token) => encodePage({ versions, partition, token }))
  })
  const list = openList(context, { format, keep, missing: [] })
  const own = await list.add(parts[0]!)
  const left = [...versions.keys()].toSorted().filter((name) => name > partition)
  await fillPage(context, merge, { list, versions, left, at: partition, own, limit })
}

interface OpenPage {
  readonly list: MergedList
  readonly versions: ReadonlyMap<string, string>
  /** Partitions after `at`. */
  readonly left: readonly string[]
  /** Partition that was read last, and what it said. */
  readonly at: string
  readonly own: PartFacts
  /** 0: none. */
  readonly limit: number
}

/** Fills the page from the partitions that are left, and ends it where it is full or one of them fails: the next request will tell. */
async function fillPage(context: AggregateContext, merge: Merge<unknown>, page: OpenPage): Promise<void> {
  const { list, versions, left, limit } = page
  const finish = (partition: string | undefined, token: string): void =>
    list.finish({
      resourceVersion: formatVersion(versions),
      continue: partition === undefined ? undefined : encodePage({ versions, partition, token }),
    })
  if (page.own.token !== '') return finish(page.at, page.own.token)
  let room = limit - page.own.items
  for (const partition of left) {
    if (limit > 0 && room <= 0) return finish(partition, '')
    const query = pageQuery(merge.query, {
      limit: Math.max(0, room),
      token: '',
      version: versions.get(partition) ?? '',
    })
    const asked = await fanOut(context, [{ partition, query }], strict(merge.format)).catch(() => undefined)
    if (asked === undefined) return finish(partition, '')
    const own = await list.add(asked.parts[0]!)
    if (own.token !== '') return finish(partition, own.token)
    room -= own.items
  }
  finish(undefined, '')
}

function strict({ accept }: MergeFormat): FanOutOptions {
  return { accept }
}

/** Reads a list for what it says of itself. */
function readFacts(part: Part, { request }: AggregateContext, format: MergeFormat): Promise<PartFacts> {
  const options = { keep: () => false, extraHeaders: {} }
  const list = format.media === 'json' ? new JsonMergedList(request, options) : new ProtobufMergedList(request, options)
  return list.add(part)
}

function openList(
  { request }: AggregateContext,
  { format, keep, missing }: Pick<Merge<unknown>, 'format' | 'keep'> & { readonly missing: readonly string[] },
): MergedList {
  const options = { keep, extraHeaders: warningOf(missing) }
  return format.media === 'json' ? new JsonMergedList(request, options) : new ProtobufMergedList(request, options)
}

/** A partition's offer to go on inconsistently becomes ours. */
function wrapToken(error: unknown, wrap: (token: string) => string): unknown {
  if (!(error instanceof StatusError) || !(error instanceof PartRefusal)) return error
  const token = error.status.metadata?.continue
  if (token === undefined || token === '') return error
  const status: Status = { ...error.status, metadata: { ...error.status.metadata, continue: wrap(token) } }
  return new PartRefusal(status)
}
