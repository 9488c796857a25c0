import { internalError, type KubeObject } from '@centaurus/api'
import { reviewOwnKind } from '../admission/review-write.ts'
import { isTrue } from '../request/parse-request-info.ts'
import { writeRequest, type ResourceCall } from './call.ts'
import type { ServeDeps } from './serve-deps.ts'

type Query = URLSearchParams

const EXEC = (query: Query): Record<string, unknown> => ({
  ...truths(query, ['stdin', 'stdout', 'stderr', 'tty']),
  ...(query.get('container') === null ? {} : { container: query.get('container') }),
})

/** What connects, and the kind of its options. Source: pkg/registry/core/rest, v1.37; `log` only reads. */
const CONNECTS: Readonly<Record<string, { kind: string; read: (call: ResourceCall) => Record<string, unknown> }>> = {
  'pods/exec': {
    kind: 'PodExecOptions',
    read: ({ exchange: { query } }) => ({ ...EXEC(query), command: query.getAll('command') }),
  },
  'pods/attach': { kind: 'PodAttachOptions', read: ({ exchange }) => EXEC(exchange.query) },
  'pods/portforward': {
    kind: 'PodPortForwardOptions',
    read: ({ exchange }) => {
      const ports = exchange.query.getAll('ports').flatMap((text) => text.split(',').map(Number))
      return ports.length === 0 ? {} : { ports }
    },
  },
  'pods/proxy': { kind: 'PodProxyOptions', read: pathOf },
  'services/proxy': { kind: 'ServiceProxyOptions', read: pathOf },
  'nodes/proxy': { kind: 'NodeProxyOptions', read: pathOf },
}

/** Asks webhooks and policies about an exec, attach, port-forward or proxy. Throws their refusals. */
export async function reviewConnect({ admissionContext }: ServeDeps, call: ResourceCall): Promise<void> {
  const { group, resource, subresource, name } = call.info
  const connect = group === '' ? CONNECTS[`${resource}/${subresource}`] : undefined
  const request = writeRequest(call, { dryRun: false })
  if (connect === undefined || !admissionContext.reviews.concern(request)) return
  const kind = { group: '', version: 'v1', kind: connect.kind }
  const object: KubeObject = { apiVersion: 'v1', kind: kind.kind, ...connect.read(call), metadata: {} }
  const made = await reviewOwnKind(admissionContext, request, { operation: 'CONNECT', subresource, name, object, kind })
  if (made === object) return
  throw internalError(new Error('admission webhooks may not change what is asked of a connection'))
}

function pathOf({ info }: ResourceCall): Record<string, unknown> {
  return { path: info.rest.join('/') }
}

function truths(query: Query, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.flatMap((name) => (isTrue(query.get(name)) ? [[name, true]] : [])))
}
