import { MERGED_BODY_BYTES_MAX } from '../limits.ts'
import { readAll } from '../pass.ts'
import { UnreachableError } from '../refusals.ts'
import { answerHeaders } from './answer-headers.ts'
import { fanOut, type AggregateContext } from './fan-out.ts'
import { mergeMetrics, type PartMetrics } from './merge-metrics.ts'

/**
 * Answers with the metrics of all partitions. One that can't be reached is missing, and told by `centaurus_gateway_partition_up`; who may
 * not see a partition's metrics gets its refusal.
 */
export async function serveMetrics(
  context: AggregateContext,
  { partitions, readsHome }: { readonly partitions: readonly string[]; readonly readsHome: boolean },
): Promise<void> {
  const results = await Promise.all(partitions.map((partition) => readMetrics(context, partition)))
  const parts = results.filter((result) => result !== undefined)
  const up = partitions.map(
    (partition, i) => `centaurus_gateway_partition_up{partition="${partition}"} ${results[i] === undefined ? 0 : 1}`,
  )
  const own = [
    '# HELP centaurus_gateway_partition_up Whether the partition answered when these metrics were read.',
    '# TYPE centaurus_gateway_partition_up gauge',
    ...up,
    '# HELP centaurus_gateway_registry_at_home Whether the registry of partitions and tenants is read at home, and not from a copy.',
    '# TYPE centaurus_gateway_registry_at_home gauge',
    `centaurus_gateway_registry_at_home ${readsHome ? 1 : 0}`,
  ]
  const headers = answerHeaders(context.request, 'text/plain; version=0.0.4; charset=utf-8')
  context.request.answer(200, headers, `${mergeMetrics(parts)}${own.join('\n')}\n`)
}

async function readMetrics(context: AggregateContext, partition: string): Promise<PartMetrics | undefined> {
  try {
    const calls = [{ partition, query: new URLSearchParams() }]
    const { parts } = await fanOut(context, calls, { accept: 'text/plain;version=0.0.4' })
    const body = await readAll(parts[0]!.incoming.stream, MERGED_BODY_BYTES_MAX)
    return body === undefined ? undefined : { partition, text: body.toString('utf8') }
  } catch (error) {
    if (error instanceof UnreachableError) return undefined
    throw error
  }
}
