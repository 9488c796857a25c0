import { parseKey, splitQualifiedName } from '@centaurus/api'

/** A queue or a workload as its tenant knows it. */
export function ownName(id: string): string {
  if (!id.includes('/')) return splitQualifiedName(id)?.name ?? id
  const { namespace = '', name } = parseKey(id)
  return `${splitQualifiedName(namespace)?.name ?? namespace}/${name}`
}
