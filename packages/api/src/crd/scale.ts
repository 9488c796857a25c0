import type { CustomResourceSubresourceScale } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'
import { evaluateJsonPath } from './json-path.ts'

/** What the scale subresource of a custom resource shows. */
export interface CustomResourceScale {
  /** Undefined when the object does not say; upstream then answers that scale is not set. */
  readonly specReplicas: number | undefined
  readonly statusReplicas: number
  /** A label selector as text; empty when there is none. */
  readonly selector: string
}

/** Reads the scale by the paths of the definition. Source: apiextensions-apiserver pkg/registry/customresource/etcd.go. */
export function readScale(object: unknown, paths: CustomResourceSubresourceScale): CustomResourceScale {
  const [specReplicas] = evaluateJsonPath(paths.specReplicasPath, object)
  const [statusReplicas] = evaluateJsonPath(paths.statusReplicasPath, object)
  const [selector] = paths.labelSelectorPath === undefined ? [] : evaluateJsonPath(paths.labelSelectorPath, object)
  return {
    specReplicas: typeof specReplicas === 'number' ? specReplicas : undefined,
    statusReplicas: typeof statusReplicas === 'number' ? statusReplicas : 0,
    selector: typeof selector === 'string' ? selector : '',
  }
}

/** Sets the replicas in `draft` (changed in place), making the structs on the way. */
export function writeSpecReplicas(
  draft: Record<string, unknown>,
  paths: CustomResourceSubresourceScale,
  replicas: number,
): void {
  const names = paths.specReplicasPath.split('.').slice(1)
  let target = draft
  for (const name of names.slice(0, -1)) {
    const next = target[name]
    const child = isRecord(next) ? next : {}
    target[name] = child
    target = child
  }
  target[names.at(-1)!] = replicas
}
