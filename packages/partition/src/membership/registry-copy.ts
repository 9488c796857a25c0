import { isDeepStrictEqual } from 'node:util'
import type { KubeObject, Stored } from '@centaurus/api'
import { partitions, tenants, type Partition, type Tenant } from '@centaurus/api/centaurus/v1'
import { encodeStored, resourcePrefix, SYSTEM_TENANT } from '@centaurus/apiserver'
import type { Change, Comparison } from '@centaurus/store'

/** All of the registry, as home has it or as a copy of it. */
export interface RegistryContent {
  readonly partitions: readonly Stored<Partition>[]
  readonly tenants: readonly Stored<Tenant>[]
}

/** One step of making a copy: the change, and the state of the key that it was decided on. */
export interface CopyStep {
  readonly compare: Comparison
  readonly change: Change
}

/**
 * What makes the copies in a partition's own store equal to home's registry, with the same uid, generation and times; only the
 * resourceVersion is the store's own. `home` must be complete: what it lacks is deleted here. Pure; empty when nothing differs.
 */
export function planRegistryCopies(home: RegistryContent, local: RegistryContent): CopyStep[] {
  return [
    ...planCopies(keyPrefix(partitions), home.partitions, local.partitions),
    ...planCopies(keyPrefix(tenants), home.tenants, local.tenants),
  ]
}

function keyPrefix({ group, resource }: { readonly group: string; readonly resource: string }): string {
  return resourcePrefix(SYSTEM_TENANT, { keyGroup: group, resource })
}

function planCopies(
  prefix: string,
  home: readonly Stored<KubeObject>[],
  local: readonly Stored<KubeObject>[],
): CopyStep[] {
  const gone = new Map(local.map((object) => [object.metadata.name, object]))
  const steps: CopyStep[] = []
  for (const object of home) {
    const { name } = object.metadata
    const copy = gone.get(name)
    gone.delete(name)
    if (copy !== undefined && isSame(object, copy)) continue
    const key = prefix + name
    steps.push({
      compare: { key, modRevision: revisionOf(copy) },
      change: { type: 'put', key, value: encodeStored(object) },
    })
  }
  for (const [name, copy] of gone) {
    const key = prefix + name
    steps.push({ compare: { key, modRevision: revisionOf(copy) }, change: { type: 'delete', key } })
  }
  return steps
}

/** A store's revision is its objects' resourceVersion; 0: there must be none. */
function revisionOf(copy: Stored<KubeObject> | undefined): number {
  return copy === undefined ? 0 : Number(copy.metadata.resourceVersion)
}

function isSame(a: Stored<KubeObject>, b: Stored<KubeObject>): boolean {
  return isDeepStrictEqual(withoutVersion(a), withoutVersion(b))
}

function withoutVersion(object: Stored<KubeObject>): unknown {
  return { ...object, metadata: { ...object.metadata, resourceVersion: '' } }
}
