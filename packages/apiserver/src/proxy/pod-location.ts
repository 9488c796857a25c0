import { badRequest, notFound, qualifyName, type Stored } from '@centaurus/api'
import { pods, type Pod, type PodSpec } from '@centaurus/api/core/v1'
import type { RequestInfo } from '../request/request-info.ts'
import type { ObjectReader } from '../resource/object-reader.ts'

export function findPod(
  reader: ObjectReader,
  { tenant, namespace, name }: Pick<RequestInfo, 'tenant' | 'namespace' | 'name'>,
): Stored<Pod> {
  const pod = reader.get(pods, { namespace, name }, { tenant })
  if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, name)
  return pod
}

/** `namespace/name` under which a node knows the pod: nodes see all tenants. */
export function nodePath({ tenant, namespace, name }: Pick<RequestInfo, 'tenant' | 'namespace' | 'name'>): string {
  return `${qualifyName(namespace, tenant)}/${name}`
}

/** The container that is meant: the named one, or the only one. Throws BadRequest. Source: pkg/registry/core/pod/strategy.go validateContainer (v1.37). */
export function chooseContainer(pod: Readonly<Pod>, wanted: string): string {
  const { spec, metadata } = pod
  const names = containerNames(spec)
  if (wanted !== '') {
    if (names.includes(wanted)) return wanted
    throw badRequest(`container ${wanted} is not valid for pod ${metadata.name}`)
  }
  const [only, ...others] = spec?.containers ?? []
  if (only === undefined) throw badRequest(`a container name must be specified for pod ${metadata.name}`)
  if (others.length === 0) return only.name
  throw badRequest(`a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(' ')}]`)
}

/** Name of the node that runs the pod. Throws BadRequest when none does yet. */
export function requireNode(pod: Readonly<Pod>): string {
  const node = pod.spec?.nodeName ?? ''
  if (node === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  return node
}

function containerNames(spec: PodSpec | undefined): string[] {
  const all = [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])]
  return all.map((container) => container.name)
}
