import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '@centaurus/api'

/** On a class of the `system` tenant: every tenant gets a copy, which it can use and not change. */
export const OFFERED_LABEL = 'centaurus.io/offered'

export interface ClassPlan<T extends KubeObject> {
  readonly create: readonly T[]
  readonly update: readonly T[]
  /** Names. */
  readonly remove: readonly string[]
}

/**
 * What makes a tenant's classes of one kind agree with those that operators offer. A class of the tenant's own keeps its name: the
 * offered one of that name stays away. Pure.
 */
export function planClasses<T extends KubeObject>(offered: readonly T[], present: readonly T[]): ClassPlan<T> {
  const wanted = new Map(offered.filter(isOffered).map((object) => [object.metadata.name ?? '', copyOf(object)]))
  const existing = new Map(present.map((object) => [object.metadata.name ?? '', object]))
  const create: T[] = []
  const update: T[] = []
  for (const [name, copy] of wanted) {
    const old = existing.get(name)
    if (old === undefined) create.push(copy)
    else if (isOffered(old) && !isDeepStrictEqual(copyOf(old), copy)) {
      update.push({ ...copy, metadata: { ...copy.metadata, resourceVersion: old.metadata.resourceVersion } })
    }
  }
  const remove = [...existing].flatMap(([name, old]) => (isOffered(old) && !wanted.has(name) ? [name] : []))
  return { create, update, remove }
}

function isOffered({ metadata }: KubeObject): boolean {
  return metadata.labels?.[OFFERED_LABEL] === 'true'
}

function copyOf<T extends KubeObject>(object: T): T {
  const { name, labels, annotations } = object.metadata
  const metadata = {
    name,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  }
  return { ...object, metadata }
}
