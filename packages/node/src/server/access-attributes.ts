/** What a request to the kubelet API needs: a verb on a subresource of the node. */
export interface AccessAttributes {
  readonly verb: string
  readonly nodeName: string
  readonly subresource: string
}

const VERBS: Partial<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

/** Narrow permissions, each with `proxy` as the wide one that also will do. */
const FINE: Readonly<Record<string, string>> = {
  pods: 'pods',
  runningpods: 'pods',
  allocatedPods: 'pods',
  healthz: 'healthz',
  configz: 'configz',
}

/** Paths with a permission of their own, for which `proxy` does not do. */
const OWN: Readonly<Record<string, string>> = {
  stats: 'stats',
  metrics: 'metrics',
  logs: 'log',
  checkpoint: 'checkpoint',
  statusz: 'statusz',
}

/** Any one of these opens the path. Source: kubelet nodeAuthorizerAttributesGetter.GetRequestAttributes, v1.37. */
export function accessAttributes(method: string, path: string, nodeName: string): readonly AccessAttributes[] {
  const verb = VERBS[method] ?? ''
  const root = path.split('/')[1] ?? ''
  const subresources = Object.hasOwn(OWN, root)
    ? [OWN[root]!]
    : Object.hasOwn(FINE, root)
      ? [FINE[root]!, 'proxy']
      : ['proxy']
  return subresources.map((subresource) => ({ verb, nodeName, subresource }))
}
