import { isRecord, type KubeObject } from '@centaurus/api'

/** Key of the Service that every tenant has for its API. */
export const API_SERVICE = 'default/kubernetes'

/** `service` under its tenant's own names. */
export function isApiService({ metadata }: KubeObject): boolean {
  return metadata.name === 'kubernetes' && metadata.namespace === 'default'
}

/**
 * A tenant's {@link API_SERVICE} for the agents of nodes, with the address of `own`, the one of their partition: a kubelet tells it to the pods of the
 * tenant's namespace `default`. It is in the certificate of the servers, who know a pod's tenant by its token and hand on; the tenant's address is
 * not, and changes when the tenant moves.
 */
export function toNodeApi<T extends KubeObject>(service: T, own: KubeObject | undefined): T {
  const { spec } = service as { spec?: unknown }
  const { spec: ownSpec } = (own ?? {}) as { spec?: unknown }
  if (!isRecord(spec) || !isRecord(ownSpec)) return service
  const { clusterIP, clusterIPs } = ownSpec
  return { ...service, spec: { ...spec, clusterIP, clusterIPs } }
}
