import { deepEqual, RESOURCE_PARTITION_ANNOTATION, type Stored } from '@centaurus/api'
import type { RemoteNode } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'

/** What to do about the copy of another partition's node. */
export type RemoteNodeStep =
  | { readonly type: 'nothing' }
  | { readonly type: 'create' | 'update'; readonly object: RemoteNode }
  | { readonly type: 'delete' }

export interface RemoteNodeFacts {
  /** The node as its partition has it, and which one that is; undefined: no other partition has it. */
  readonly node: { readonly object: Stored<Node>; readonly partition: string } | undefined
  readonly copy: Stored<RemoteNode> | undefined
  /** Whether what is not known of the partition's nodes is not there. */
  readonly isAuthoritative: (partition: string) => boolean
}

/** Decides. Pure. What can't be reached is not deleted. */
export function planRemoteNode({ node, copy, isAuthoritative }: RemoteNodeFacts): RemoteNodeStep {
  if (node === undefined)
    return copy !== undefined && isAuthoritative(copy.spec.partition) ? { type: 'delete' } : { type: 'nothing' }
  const object = describeNode(node.object, node.partition)
  if (copy === undefined) return { type: 'create', object }
  const { labels, annotations } = object.metadata
  const isSame =
    deepEqual(copy.spec, object.spec) &&
    deepEqual(copy.status, object.status) &&
    deepEqual(copy.metadata.labels ?? {}, labels ?? {}) &&
    deepEqual(copy.metadata.annotations ?? {}, annotations)
  if (isSame) return { type: 'nothing' }
  return { type: 'update', object: { ...copy, ...object, metadata: { ...copy.metadata, labels, annotations } } }
}

/** Nodes and what they say of themselves change often; of this, little does. */
function describeNode({ metadata, spec, status }: Stored<Node>, partition: string): RemoteNode {
  const addresses = (status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP')
    .map(({ type, address }) => ({ type, address }))
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status
  return {
    // a gateway that merges lists sees metadata of a Table's row, and no spec
    metadata: {
      name: metadata.name,
      labels: { ...metadata.labels },
      annotations: { [RESOURCE_PARTITION_ANNOTATION]: partition },
    },
    spec: {
      partition,
      ...(spec?.podCIDR === undefined ? {} : { podCIDR: spec.podCIDR }),
      ...(spec?.podCIDRs === undefined ? {} : { podCIDRs: [...spec.podCIDRs] }),
    },
    status: { addresses, ...(ready === undefined ? {} : { conditions: [{ type: 'Ready', status: ready }] }) },
  }
}
