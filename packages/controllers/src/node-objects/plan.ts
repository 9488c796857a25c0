import type { KubeObject } from '@centaurus/api'

/**
 * Whether an object names a Node of its own name as its owner that is not there: `node` is that Node as the cache has it. One without
 * such an owner is not ours to judge: its node may not have registered yet. Pure.
 */
export function isLeftByNode(object: Readonly<KubeObject>, node: Readonly<KubeObject> | undefined): boolean {
  const owner = object.metadata.ownerReferences?.find(
    ({ kind, apiVersion, name }) => kind === 'Node' && apiVersion === 'v1' && name === object.metadata.name,
  )
  return owner !== undefined && owner.uid !== node?.metadata.uid
}
