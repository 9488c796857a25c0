import { deepEqual, type Stored } from '@centaurus/api'
import type { Deployment, ReplicaSet } from '@centaurus/api/apps/v1'
import type { PodTemplateSpec } from '@centaurus/api/core/v1'

export const POD_TEMPLATE_HASH_LABEL = 'pod-template-hash'

/** One replica set while a plan is being made. `set` is absent for the one that is to be created. */
export interface PlannedSet {
  readonly set: Stored<ReplicaSet> | undefined
  readonly name: string
  /** As wanted so far. */
  replicas: number
  annotations: Record<string, string>
  minReadySeconds: number | undefined
}

export function plannedSet(set: Stored<ReplicaSet>): PlannedSet {
  return {
    set,
    name: set.metadata.name,
    replicas: set.spec.replicas ?? 1,
    annotations: { ...set.metadata.annotations },
    minReadySeconds: set.spec.minReadySeconds,
  }
}

/** Oldest first, by name within a second. */
export function sortByAge(sets: readonly PlannedSet[]): PlannedSet[] {
  return sets.toSorted((a, b) => compareText(createdAt(a), createdAt(b)) || compareText(a.name, b.name))
}

/** Largest first; the newer of equals first for `up`, the older for `down`. */
export function sortBySize(
  sets: readonly PlannedSet[],
  { towards }: { readonly towards: 'up' | 'down' },
): PlannedSet[] {
  const byAge = towards === 'down' ? sortByAge(sets) : sortByAge(sets).toReversed()
  return byAge.toSorted((a, b) => b.replicas - a.replicas)
}

/** The oldest set whose template is the Deployment's. Source: FindNewReplicaSet v1.37. */
export function findNewSet(deployment: Deployment, sets: readonly PlannedSet[]): PlannedSet | undefined {
  return sortByAge(sets).find((planned) => hasTemplate(planned.set!, deployment.spec.template))
}

export function hasTemplate(set: ReplicaSet, template: PodTemplateSpec): boolean {
  return deepEqual(withoutHash(set.spec.template), withoutHash(template))
}

export function totalReplicas(sets: readonly PlannedSet[]): number {
  return sets.reduce((sum, planned) => sum + planned.replicas, 0)
}

export function sumStatus(
  sets: readonly PlannedSet[],
  field: 'replicas' | 'readyReplicas' | 'availableReplicas' | 'terminatingReplicas',
): number {
  return sets.reduce((sum, planned) => sum + (planned.set?.status?.[field] ?? 0), 0)
}

export function availableReplicas(planned: PlannedSet): number {
  return planned.set?.status?.availableReplicas ?? 0
}

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  const { [POD_TEMPLATE_HASH_LABEL]: _hash, ...labels } = template?.metadata?.labels ?? {}
  const {
    labels: _labels,
    creationTimestamp: _created,
    ...metadata
  } = (template?.metadata ?? {}) as Record<string, unknown>
  return { spec: template?.spec, metadata, labels }
}

/** A set that does not exist yet is the youngest. */
function createdAt({ set }: PlannedSet): string {
  return set?.metadata.creationTimestamp ?? '9'
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
