import { createHash } from 'node:crypto'

import { behaviorOf, decodeObject, schemaOfKind } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'

import { podReferences } from './references.ts'

/** Source of the names: kubelet pkg/types/pod_update.go, v1.37. */
const ANNOTATION_SOURCE = 'kubernetes.io/config.source'
const ANNOTATION_HASH = 'kubernetes.io/config.hash'
const ANNOTATION_SEEN = 'kubernetes.io/config.seen'
const ANNOTATION_MIRROR = 'kubernetes.io/config.mirror'
const UID_DIGITS = 32

export interface StaticPodOptions {
  readonly nodeName: string
  /** Path of the manifest: part of the pod's identity. */
  readonly path: string
  readonly nowMs: number
}

/** True for a pod that comes from a file of this node. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[ANNOTATION_SOURCE]
  return source !== undefined && source !== 'api' && !isMirrorPod(pod)
}

/** True for what the API shows of some node's static pod. */
export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[ANNOTATION_MIRROR] !== undefined
}

/** Uid of the static pod that a mirror shows. */
export function mirroredUid(mirror: Pod): string | undefined {
  return mirror.metadata.annotations?.[ANNOTATION_MIRROR]
}

/**
 * Reads a manifest (YAML or JSON): defaults and validates it, and gives it the node's name as a suffix and a hash as its uid, so that a changed
 * manifest is another pod. Throws with what is wrong with it. Source: kubelet config/common.go applyDefaults and tryDecodeSinglePod, v1.37.
 */
export function parseStaticPod(text: string, { nodeName, path, nowMs }: StaticPodOptions): Pod {
  const expected = { group: '', version: 'v1', kind: 'Pod' }
  const { object: pod } = decodeObject<Pod>(text, schemaOfKind('', 'v1', 'Pod')!, { expected, format: 'yaml' })
  if ((pod.metadata.name ?? '') === '') throw new Error('invalid pod: name is needed for the pod')
  const content = JSON.stringify(pod)
  const uid =
    pod.metadata.uid ??
    createHash('sha256').update(`${content}host:${nodeName}file:${path}`).digest('hex').slice(0, UID_DIGITS)
  const { setDefaults, validate } = behaviorOf('', 'Pod')
  pod.metadata = {
    ...pod.metadata,
    uid,
    name: `${pod.metadata.name ?? ''}-${nodeName.toLowerCase()}`,
    namespace: pod.metadata.namespace ?? 'default',
    annotations: {
      ...pod.metadata.annotations,
      [ANNOTATION_HASH]: uid,
      [ANNOTATION_SEEN]: new Date(nowMs).toISOString(),
      [ANNOTATION_SOURCE]: 'file',
    },
  }
  pod.spec = { ...pod.spec!, nodeName }
  pod.spec.tolerations = [...(pod.spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }]
  setDefaults?.(pod)
  pod.status = { phase: 'Pending' }
  const errors = validate?.(pod) ?? []
  if (errors.length > 0)
    throw new Error(`invalid pod: [${errors.map(({ field, message }) => `${field}: ${message}`).join(', ')}]`)
  refuseReferences(pod)
  return pod
}

/** A static pod lives without the API, so nothing of it may come from there. Source: podutil.HasAPIObjectReference, v1.37. */
function refuseReferences(pod: Pod): void {
  const { configMaps, secrets } = podReferences(pod)
  const volumes = pod.spec?.volumes ?? []
  const refusals: readonly [string, boolean][] = [
    ['serviceaccounts', (pod.spec?.serviceAccountName ?? '') !== ''],
    ['secrets', secrets.size > 0],
    ['configmaps', configMaps.size > 0],
    [
      'persistentvolumeclaims',
      volumes.some((volume) => volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined),
    ],
    ['resourceclaims', (pod.spec?.resourceClaims ?? []).length > 0],
  ]
  const refused = refusals.find(([, isUsed]) => isUsed)
  if (refused !== undefined) throw new Error(`static pods may not reference ${refused[0]}`)
}

/** What the API shows of a static pod; the node owns it. Source: kubelet pod/mirror_client.go, v1.37. */
export function makeMirrorPod(pod: Pod, node: Pick<Node, 'metadata'>): Pod {
  const { uid = '', annotations, ...metadata } = pod.metadata
  const owner = {
    apiVersion: 'v1',
    kind: 'Node',
    name: node.metadata.name ?? '',
    uid: node.metadata.uid ?? '',
    controller: true,
  }
  return {
    ...pod,
    metadata: { ...metadata, annotations: { ...annotations, [ANNOTATION_MIRROR]: uid }, ownerReferences: [owner] },
  }
}
