import { pause } from '../hollow/hollow-call.ts'
import type { RunContext } from '../run/run.ts'

/** Between two of the same kind. Shaped like what people and dashboards do; lists of everything come in pages. */
const GET_MS = 100
const LIST_NAMESPACE_MS = 2_000
const LIST_PAGE_MS = 1_000
const PAGE_ITEMS = 500

/** Users read while others write, so that latencies of reads mean something. Returns what stops them. */
export function startReaders(context: RunContext): () => Promise<void> {
  const { apis, ledger, random } = context
  const stop = new AbortController()
  const every = async (periodMs: number, read: () => Promise<unknown>): Promise<void> => {
    while (!stop.signal.aborted) {
      await read()
      await pause(periodMs)
    }
  }
  const anyApi = () => apis[random.integer(apis.length)]!
  const list = (path: string) =>
    anyApi().tryCall({ method: 'GET', path, resource: `${path.split('?')[0]!.split('/').at(-1)} list` })
  const loops = [
    every(GET_MS, async () => {
      const deployment = ledger.deployments[random.integer(Math.max(1, ledger.deployments.length))]
      if (deployment === undefined) return
      const { tenant, namespace, name } = deployment
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
      await apis[tenant]!.tryCall({ method: 'GET', path, resource: 'deployments' })
    }),
    every(LIST_NAMESPACE_MS, async () => {
      const deployment = ledger.deployments[random.integer(Math.max(1, ledger.deployments.length))]
      if (deployment === undefined) return
      const path = `/api/v1/namespaces/${deployment.namespace}/pods`
      await apis[deployment.tenant]!.tryCall({ method: 'GET', path, resource: 'pods (namespace)' })
    }),
    every(LIST_PAGE_MS, () => list(`/api/v1/pods?limit=${PAGE_ITEMS}`)),
    every(LIST_PAGE_MS, () => list(`/api/v1/services?limit=${PAGE_ITEMS}`)),
    every(LIST_PAGE_MS, () => list(`/apis/discovery.k8s.io/v1/endpointslices?limit=${PAGE_ITEMS}`)),
  ]
  return async () => {
    stop.abort()
    await Promise.all(loops)
  }
}
