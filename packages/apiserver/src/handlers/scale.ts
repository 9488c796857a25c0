import {
  applyJsonPatch,
  applyMergePatch,
  deepClone,
  invalidObject,
  invalid,
  FieldPath,
  badRequest,
  isRecord,
  notFound,
  parseJsonPatch,
  selectorFromObject,
  selectorFromLabels,
  unsupportedMediaType,
  type KubeObject,
} from '@centaurus/api'
import type { Scale } from '@centaurus/api/autoscaling/v1'
import type { LabelSelector } from '@centaurus/api/meta/v1'
import { reviewOwnKind } from '../admission/review-write.ts'
import type { ResourceDefinition, ScalePaths } from '../resource/registry.ts'
import { groupResource, type Target, type WriteRequest } from '../resource/target.ts'
import { mainStrategy, type AnyObject } from './prepare.ts'
import type { PatchBody } from './patch.ts'
import { updateObject } from './update.ts'
import type { WriteDeps } from './write-deps.ts'

const BUILT_IN: ScalePaths = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.spec.selector',
}

function pathsOf(definition: ResourceDefinition): ScalePaths {
  return definition.scale ?? BUILT_IN
}

/** The Scale of an object. Source: kubernetes pkg/registry/apps/deployment/storage scaleFromDeployment; apiextensions for custom ones. */
export function scaleOf(definition: ResourceDefinition, object: KubeObject): Scale {
  const { metadata } = definition.view === undefined ? object : definition.view.show(object)
  const paths = pathsOf(definition)
  const selector = formatSelector(readPath(object, paths.labelSelectorPath))
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name: metadata.name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      creationTimestamp: metadata.creationTimestamp,
    },
    spec: { replicas: Number(readPath(object, paths.specReplicasPath) ?? 0) },
    status: {
      replicas: Number(readPath(object, paths.statusReplicasPath) ?? 0),
      ...(selector === '' ? {} : { selector }),
    },
  }
}

/** Reads an object's Scale. Throws NotFound. */
export async function getScale(deps: WriteDeps, target: Target, key: string): Promise<Scale> {
  await deps.cache.waitCurrent()
  const object = target.cache.get(key)
  if (object === undefined) throw notFound(groupResource(target), key.slice(key.indexOf('/') + 1))
  return scaleOf(target.definition, object.object())
}

/** Sets `spec.replicas` to what `change` makes of the Scale. */
export async function updateScale(
  deps: WriteDeps,
  request: WriteRequest,
  { name, change }: { readonly name: string; readonly change: (scale: Scale) => Scale },
): Promise<Scale> {
  const { definition } = request.target
  const paths = pathsOf(definition)
  const strategy = { ...mainStrategy(deps, definition), subresource: 'scale', isReviewed: true }
  const { object } = await updateObject(deps, request, {
    name,
    strategy,
    change: async (old) => {
      const current = scaleOf(definition, old)
      const sent = change(current)
      checkScale(sent, name)
      const wanted = await reviewScale(deps, request, { name, scale: sent, old: current })
      checkScale(wanted, name)
      const draft = deepClone(old) as AnyObject
      draft.metadata.resourceVersion = wanted.metadata?.resourceVersion ?? ''
      if (wanted.metadata?.uid !== undefined && wanted.metadata.uid !== '') draft.metadata.uid = wanted.metadata.uid
      writePath(draft, paths.specReplicasPath, wanted.spec?.replicas ?? 0)
      return draft
    },
  })
  return scaleOf(definition, object.object())
}

async function reviewScale(
  { admissionContext }: WriteDeps,
  request: WriteRequest,
  { name, scale, old }: { readonly name: string; readonly scale: Scale; readonly old: Scale },
): Promise<Scale> {
  if (!admissionContext.reviews.concern(request)) return scale
  const shown = (some: Scale): Scale & KubeObject => ({
    ...some,
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { ...some.metadata, ...(request.namespace === '' ? {} : { namespace: request.namespace }) },
  })
  return reviewOwnKind(admissionContext, request, {
    operation: 'UPDATE',
    subresource: 'scale',
    name,
    object: shown(scale),
    old: shown(old),
    kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  })
}

/** What a patch makes of a Scale. Strategic patches of it are merge patches: it has no lists. */
export function patchScale(scale: Scale, patch: PatchBody): Scale {
  switch (patch.type) {
    case 'json':
      return applyJsonPatch(scale, parseJsonPatch(patch.value)) as Scale
    case 'merge':
    case 'strategic':
    case 'apply':
      if (!isRecord(patch.value)) throw unsupportedMediaType([])
      return applyMergePatch(scale, patch.value) as Scale
  }
}

function checkScale(scale: Scale, name: string): void {
  const given = scale.metadata?.name ?? name
  if (given !== name) throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`)
  const replicas = scale.spec?.replicas ?? 0
  if (replicas >= 0) return
  const path = new FieldPath('spec').child('replicas')
  throw invalidObject({ group: 'autoscaling', kind: 'Scale' }, name, [
    invalid(path, replicas, 'must be greater than or equal to 0'),
  ])
}

/** `.spec.replicas` and the like; no brackets, as CustomResourceDefinitions demand. */
function readPath(object: unknown, path: string | undefined): unknown {
  if (path === undefined) return undefined
  let value = object
  for (const member of path.split('.').slice(1)) value = isRecord(value) ? value[member] : undefined
  return value
}

function writePath(object: Record<string, unknown>, path: string, value: unknown): void {
  const members = path.split('.').slice(1)
  const last = members.pop()!
  let parent = object
  for (const member of members) {
    if (!isRecord(parent[member])) parent[member] = {}
    parent = parent[member] as Record<string, unknown>
  }
  parent[last] = value
}

function formatSelector(value: unknown): string {
  if (typeof value === 'string') return value
  if (!isRecord(value)) return ''
  const isObject = 'matchLabels' in value || 'matchExpressions' in value
  if (isObject) return selectorFromObject(value as LabelSelector).toString()
  return selectorFromLabels(value as Record<string, string>).toString()
}
