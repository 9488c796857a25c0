import type { FrontRequest } from './front-request.ts'
import type { Membership } from './membership.ts'
import { pathOf, queryOf } from './query.ts'

/** How long a partition may take to say that it is well. */
const CHECK_TIMEOUT_MS = 2_000

/**
 * Answers `/livez`, `/healthz` and `/readyz`. The gateway is ready once it knows the cluster, whatever partitions do: the others are
 * served. `?verbose` asks each partition, and `/readyz/partition/NAME` one. Source of the form: apiserver pkg/server/healthz.
 */
export async function serveHealth(request: FrontRequest, membership: Membership): Promise<void> {
  const [, what = '', ...rest] = pathOf(request.target).split('/')
  const check = rest.filter((part) => part !== '').join('/')
  if (what !== 'readyz') return check === '' || check === 'ping' ? text(request, 200, 'ok') : notThere(request)
  if (check.startsWith('partition/')) {
    const name = check.slice('partition/'.length)
    if (!membership.map.partitions.includes(name)) return notThere(request)
    const isWell = await isPartitionWell(membership, name)
    return text(request, isWell ? 200 : 500, isWell ? 'ok' : `partition ${name} does not answer`)
  }
  if (check !== '' && check !== 'registry') return notThere(request)
  const isReady = membership.known
  if (!queryOf(request.target).has('verbose')) {
    return text(request, isReady ? 200 : 500, isReady ? 'ok' : 'the registry of partitions was not read yet')
  }
  const { partitions } = membership.map
  const well = await Promise.all(partitions.map((name) => isPartitionWell(membership, name)))
  const lines = [
    `[${isReady ? '+' : '-'}]registry ${isReady ? 'ok' : 'failed: not read yet'}`,
    ...partitions.map((name, i) => `[${well[i] ? '+' : '-'}]partition/${name} ${well[i] ? 'ok' : 'failed: no answer'}`),
    `readyz check ${isReady ? 'passed' : 'failed'}`,
  ]
  text(request, isReady ? 200 : 500, `${lines.join('\n')}\n`)
}

async function isPartitionWell(membership: Membership, name: string): Promise<boolean> {
  const backend = membership.backend(name)
  if (backend === undefined) return false
  const asked = backend.send({ method: 'GET', path: '/readyz', headers: {}, credentials: 'gateway' }).then(
    ({ status, stream }) => {
      stream.resume()
      return status === 200
    },
    () => false,
  )
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), CHECK_TIMEOUT_MS).unref())
  return Promise.race([asked, late])
}

function text(request: FrontRequest, code: number, body: string): void {
  request.answer(code, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body)
}

/** What is not there is told in plain text, as an API server does. */
export function notThere(request: FrontRequest): void {
  text(request, 404, '404 page not found\n')
}
