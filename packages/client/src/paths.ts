import type { KubeObject, ResourceType } from '@centaurus/api'
import type { DeleteOptions, ListOptions, ObjectName, PatchOptions, SelectOptions, WriteOptions } from './client.ts'

/** Path of a resource, of one object when `name` is given, or of its `subresource`. Segments are percent-encoded. */
export function resourcePath(
  type: ResourceType<KubeObject>,
  {
    namespace,
    name,
    subresource,
  }: { namespace?: string | undefined; name?: string | undefined; subresource?: string | undefined },
): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`
  const scope = type.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`
  return `${root}${scope}/${type.resource}${object}${subresource === undefined ? '' : `/${subresource}`}`
}

/** Path of one object. Throws `TypeError` when the resource has namespaces and the name has none, as that would name another thing. */
export function objectPath(type: ResourceType<KubeObject>, name: ObjectName, subresource?: string): string {
  if (name.name === '') throw new TypeError(`Cannot address a ${type.kind} without a name`)
  if (type.namespaced && !name.namespace) {
    throw new TypeError(`Cannot address ${type.kind} "${name.name}": a namespace is required`)
  }
  return resourcePath(type, { namespace: name.namespace, name: name.name, subresource })
}

/** `?a=b` with absent values left out; '' when nothing is left. */
export function formatQuery(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== '' && value !== false) query.append(key, String(value))
  }
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

export function selectQuery(select: SelectOptions): Record<string, string | undefined> {
  return { labelSelector: select.labelSelector, fieldSelector: select.fieldSelector }
}

export function listQuery(options: ListOptions): Record<string, string | number | undefined> {
  return {
    ...selectQuery(options),
    limit: options.limit,
    continue: options.continue,
    resourceVersion: options.resourceVersion,
  }
}

export function writeQuery(options: WriteOptions & PatchOptions): Record<string, string | boolean | undefined> {
  return {
    dryRun: options.dryRun === true ? 'All' : undefined,
    fieldManager: options.fieldManager,
    force: options.force,
  }
}

/** Body of a DELETE; undefined when the options say nothing. Source: meta.k8s.io/v1 DeleteOptions. */
export function deleteBody(options: DeleteOptions): object | undefined {
  const { gracePeriodSeconds, propagationPolicy, preconditions, dryRun } = options
  if (
    gracePeriodSeconds === undefined &&
    propagationPolicy === undefined &&
    preconditions === undefined &&
    dryRun !== true
  ) {
    return undefined
  }
  return {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    gracePeriodSeconds,
    propagationPolicy,
    preconditions,
    dryRun: dryRun === true ? ['All'] : undefined,
  }
}

/** Content type of each patch. Source: apimachinery pkg/types/patch.go. */
export const PATCH_CONTENT_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const
