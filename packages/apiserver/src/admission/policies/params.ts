import { parseGroupVersion, selectorFromObject, type KubeObject, type Stored } from '@centaurus/api'
import type { ParamKind, ParamRef } from '@centaurus/api/admissionregistration/v1'
import type { ResourceDefinition } from '../../resource/registry.ts'
import { resourcePrefix } from '../../storage/keys.ts'
import type { TenantRegistries } from '../../resource/tenant-registries.ts'
import { toServed } from '../../respond/encoder.ts'
import type { WatchCache } from '../../watch-cache/watch-cache.ts'

export interface ParamsDeps {
  readonly cache: WatchCache
  readonly registries: TenantRegistries
}

/** What serves the kind of a policy's parameters in the tenant. Throws when nothing does. */
export function findParamDefinition({ registries }: ParamsDeps, tenant: string, kind: ParamKind): ResourceDefinition {
  const { group, version } = parseGroupVersion(kind.apiVersion ?? '')
  const definition = registries.of(tenant).findKind(group, version, kind.kind ?? '')
  if (definition !== undefined && definition.virtual === undefined) return definition
  throw new Error(`failed to find resource referenced by paramKind: '${kind.apiVersion}, Kind=${kind.kind}'`)
}

export interface ParamsOf {
  readonly tenant: string
  readonly definition: ResourceDefinition
  readonly ref: ParamRef
  /** Of the request. */
  readonly namespace: string
}

/**
 * The parameters that a binding names, each of which the policy is held against; none when that is fine. Throws what is wrong with the
 * reference. Source: apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go CollectParams, v0.37.
 */
export function collectParams(deps: ParamsDeps, { tenant, definition, ref, namespace }: ParamsOf): KubeObject[] {
  const isNamespaced = definition.info.namespaced
  const given = ref.namespace ?? ''
  if (!isNamespaced && given !== '') {
    throw new Error('paramRef.namespace must not be provided for a cluster-scoped `paramKind`')
  }
  const place = isNamespaced ? given || namespace : ''
  if (isNamespaced && place === '') {
    throw new Error('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources')
  }
  const cache = deps.cache.peek(resourcePrefix(tenant, definition.storage))
  const prefix = place === '' ? '' : `${place}/`
  const name = ref.name ?? ''
  const entries = name === '' ? [...(cache?.range(prefix) ?? [])] : [cache?.get(prefix + name)]
  const found = entries.flatMap((entry) => (entry === undefined ? [] : [entry.object()]))
  const chosen = name === '' ? found.filter((object) => isSelected(object, ref)) : found
  if (chosen.length === 0 && ref.parameterNotFoundAction === 'Deny') {
    throw new Error('no params found for policy binding with `Deny` parameterNotFoundAction')
  }
  return chosen.map((object) => toServed(definition, object))
}

function isSelected({ metadata }: Stored<KubeObject>, { selector }: ParamRef): boolean {
  return selectorFromObject(selector).matches(metadata.labels)
}
