import { isRecord, NAMESPACE_ANNOTATION, type KubeObject } from '@centaurus/api'
import { changeAt, type Path } from './change-at.ts'

/** Where a pod may ask for one of its own fields, in its environment and in files. */
const FIELD_REFERENCES: readonly Path[] = [
  ...['containers', 'initContainers', 'ephemeralContainers'].map((list) => `spec.${list}.*.env.*.valueFrom.fieldRef`),
  'spec.volumes.*.downwardAPI.items.*.fieldRef',
  'spec.volumes.*.projected.sources.*.downwardAPI.items.*.fieldRef',
].map((path) => path.split('.'))

/**
 * A tenant's pod for the agent of its node: where it asks for its namespace, it gets the tenant's and not the qualified one. So the
 * file `namespace` beside a service account's token is right also when the agent is an unmodified kubelet.
 */
export function toNodePod<T extends KubeObject>(pod: T): T {
  let result: unknown = pod
  for (const path of FIELD_REFERENCES) result = changeAt(result, path, redirect)
  return result as T
}

function redirect(reference: unknown): unknown {
  if (!isRecord(reference) || reference['fieldPath'] !== 'metadata.namespace') return reference
  return { ...reference, fieldPath: `metadata.annotations['${NAMESPACE_ANNOTATION}']` }
}
