import type { Deployment, ReplicaSet } from '@centaurus/api/apps/v1'

export const REVISION_ANNOTATION = 'deployment.kubernetes.io/revision'
const REVISION_HISTORY_ANNOTATION = 'deployment.kubernetes.io/revision-history'
export const DESIRED_REPLICAS_ANNOTATION = 'deployment.kubernetes.io/desired-replicas'
export const MAX_REPLICAS_ANNOTATION = 'deployment.kubernetes.io/max-replicas'
/** Source: maxRevHistoryLengthInChars, pkg/controller/deployment/sync.go v1.37. */
const REVISION_HISTORY_LENGTH_MAX = 2000

/** Annotations that belong to either object alone. Source: annotationsToSkip, deployment/util/deployment_util.go v1.37. */
const OWN_ANNOTATIONS = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION_ANNOTATION,
  REVISION_HISTORY_ANNOTATION,
  DESIRED_REPLICAS_ANNOTATION,
  MAX_REPLICAS_ANNOTATION,
  'deprecated.deployment.rollback.to',
])

/** 0 when the set has none, undefined when it is not a number. */
export function revisionOf(set: ReplicaSet): number | undefined {
  const text = set.metadata.annotations?.[REVISION_ANNOTATION]
  if (text === undefined) return 0
  return /^-?\d+$/.test(text) ? Number(text) : undefined
}

export function maxRevision(sets: readonly ReplicaSet[]): number {
  return Math.max(0, ...sets.map((set) => revisionOf(set) ?? 0))
}

/** Annotations of the set that holds the newest template: the Deployment's own, and its revision with those it had before. */
export function planNewSetAnnotations(
  deployment: Deployment,
  set: ReplicaSet | undefined,
  newRevision: number,
): Record<string, string> {
  const annotations: Record<string, string> = { ...set?.metadata.annotations }
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!OWN_ANNOTATIONS.has(key)) annotations[key] = value
  }
  const oldText = annotations[REVISION_ANNOTATION]
  const old = set === undefined ? 0 : revisionOf(set)
  if (old === undefined || old >= newRevision) return annotations
  annotations[REVISION_ANNOTATION] = String(newRevision)
  if (oldText === undefined) return annotations
  const history = appendRevision(annotations[REVISION_HISTORY_ANNOTATION] ?? '', oldText)
  if (history !== undefined) annotations[REVISION_HISTORY_ANNOTATION] = history
  return annotations
}

/** Drops the oldest revisions when the list grows too long. */
function appendRevision(history: string, revision: string): string | undefined {
  if (history === '') return revision
  const revisions = [...history.split(','), revision]
  while (revisions.length > 1 && revisions.join(',').length > REVISION_HISTORY_LENGTH_MAX) revisions.shift()
  const text = revisions.join(',')
  return text.length <= REVISION_HISTORY_LENGTH_MAX ? text : undefined
}
