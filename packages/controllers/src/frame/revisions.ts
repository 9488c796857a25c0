import { deepEqual, isStatus, ownerReferenceTo, podTemplateHash, type KubeObject, type Stored } from '@centaurus/api'
import { controllerrevisions, type ControllerRevision } from '@centaurus/api/apps/v1'
import type { PodTemplateSpec } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import { nameOf } from './claim.ts'
import type { ReconcilerContext } from './controller.ts'

export const REVISION_HASH_LABEL = 'controller-revision-hash'

export interface RevisionInput {
  readonly owner: Stored<KubeObject>
  readonly template: PodTemplateSpec
  readonly collisionCount: number | undefined
  /** Those it controls. */
  readonly existing: readonly Stored<ControllerRevision>[]
}

export interface RevisionPlan {
  /** The revision of the template as it is now, with the number it should have. `stored` is undefined when it must be created. */
  readonly current: { readonly stored: Stored<ControllerRevision> | undefined; readonly wanted: ControllerRevision }
  /** Every other one, oldest first. */
  readonly old: readonly Stored<ControllerRevision>[]
}

/**
 * Finds or makes the revision of a template. One that comes back gets the newest number again.
 * Source: constructHistory, pkg/controller/daemon/update.go, and getStatefulSetRevisions v1.37.
 */
export function planRevisions({ owner, template, collisionCount, existing }: RevisionInput): RevisionPlan {
  const data = revisionData(template)
  const equal = existing.filter((revision) => deepEqual(revision.data, data)).toSorted(byRevision)
  const stored = equal.at(-1)
  const old = existing.filter((revision) => revision !== stored).toSorted(byRevision)
  const number = Math.max(0, ...old.map((revision) => revision.revision ?? 0)) + 1
  if (stored !== undefined) {
    const revision = Math.max(number, stored.revision ?? 0)
    return { current: { stored, wanted: { ...stored, revision } }, old }
  }
  const hash = podTemplateHash(template, collisionCount)
  const wanted: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: `${owner.metadata.name.slice(0, 223)}-${hash}`,
      namespace: owner.metadata.namespace,
      labels: { ...template.metadata?.labels, [REVISION_HASH_LABEL]: hash },
      annotations: { ...owner.metadata.annotations },
      ownerReferences: [ownerReferenceTo(owner)],
    },
    data,
    revision: number,
  }
  return { current: { stored: undefined, wanted }, old }
}

/** A patch that gives the owner this template, which is how `kubectl rollout undo` uses it. */
function revisionData(template: PodTemplateSpec): Record<string, unknown> {
  return { spec: { template: { ...template, $patch: 'replace' } } }
}

/** The template that a revision keeps. */
export function templateOfRevision(revision: ControllerRevision): PodTemplateSpec {
  const { template } = (revision.data as { spec: { template: PodTemplateSpec & { $patch?: string } } }).spec
  const { $patch: _patch, ...rest } = template
  return rest
}

export function revisionHash(revision: ControllerRevision): string {
  return revision.metadata.labels?.[REVISION_HASH_LABEL] ?? revision.metadata.name ?? ''
}

function byRevision(a: ControllerRevision, b: ControllerRevision): number {
  return (a.revision ?? 0) - (b.revision ?? 0) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1)
}

/** Raised when another template has the same hash: the owner's collision count must grow before the next try. */
export class RevisionCollisionError extends Error {
  override readonly name = 'RevisionCollisionError'
}

/** Writes what {@link planRevisions} wants; returns the current revision. */
export async function writeRevision(
  { client, writes }: ReconcilerContext,
  { current }: RevisionPlan,
  { key, informer }: { readonly key: string; readonly informer: Informer<ControllerRevision> },
): Promise<Stored<ControllerRevision>> {
  const { stored, wanted } = current
  if (stored !== undefined) {
    if (stored.revision === wanted.revision) return stored
    const updated = await client.update(controllerrevisions, wanted)
    writes.wrote(key, informer, updated)
    return updated
  }
  try {
    const created = await client.create(controllerrevisions, wanted)
    writes.wrote(key, informer, created)
    return created
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error
    const existing = await client.get(controllerrevisions, nameOf(wanted))
    if (deepEqual(existing.data, wanted.data)) return existing
    throw new RevisionCollisionError(`Revision name "${wanted.metadata.name}" is taken by another template`, {
      cause: error,
    })
  }
}

/** Old revisions beyond the limit that nothing uses, oldest first. */
export function planRevisionCleanup(
  old: readonly Stored<ControllerRevision>[],
  { limit, isLive }: { readonly limit: number; readonly isLive: (revision: Stored<ControllerRevision>) => boolean },
): Stored<ControllerRevision>[] {
  const excess = old.length - limit
  return excess <= 0 ? [] : old.filter((revision) => !isLive(revision)).slice(0, excess)
}

export async function removeRevisions(
  { client }: ReconcilerContext,
  list: readonly Stored<ControllerRevision>[],
): Promise<void> {
  for (const revision of list) {
    await client
      .delete(controllerrevisions, nameOf(revision), { preconditions: { uid: revision.metadata.uid } })
      .catch((error: unknown) => {
        if (!isStatus(error, 'NotFound')) throw error
      })
  }
}
