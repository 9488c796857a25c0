import type { ResourceInfo } from '@centaurus/api'
import type { Recorder } from './trace.ts'

export function apiVersionOf({ group, version }: Pick<ResourceInfo, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`
}

/** Such as `/apis/apps/v1/namespaces/a/deployments`; `namespace` is left out for cluster-scoped resources. */
export function collectionPath(info: ResourceInfo, namespace: string): string {
  const root = info.group === '' ? `/api/${info.version}` : `/apis/${info.group}/${info.version}`
  return info.namespaced ? `${root}/namespaces/${namespace}/${info.resource}` : `${root}/${info.resource}`
}

/** A name for steps: `apps/v1/deployments`. */
export function titleOf(info: ResourceInfo): string {
  return `${apiVersionOf(info)}/${info.resource}`
}

/** Makes a namespace with the account that pods need; answers its name. */
export async function prepareNamespace(recorder: Recorder, label: string): Promise<string> {
  const name = `${label}-${recorder.run}`
  await recorder.prepare({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name } } })
  const path = `/api/v1/namespaces/${name}/serviceaccounts`
  await recorder.prepare({ method: 'POST', path, body: { metadata: { name: 'default' } } })
  return name
}
