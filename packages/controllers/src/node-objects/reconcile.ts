import {
  isStatus,
  objectKey,
  parseKey,
  type KubeObject,
  type ObjectKey,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import { networkreports } from '@centaurus/api/centaurus/v1'
import { leases } from '@centaurus/api/coordination/v1'
import { nodes } from '@centaurus/api/core/v1'
import { csinodes } from '@centaurus/api/storage/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { createLocalNodeAuthority } from '../frame/node-authority.ts'
import { isLeftByNode } from './plan.ts'

/** Source: the kubelet's node leases. */
const LEASE_NAMESPACE = 'kube-node-lease'
/** Keys of what has no namespace; those of leases have one. */
const CLUSTER_SCOPED: Readonly<Record<string, ResourceType<KubeObject>>> = {
  '/csinode/': csinodes as ResourceType<KubeObject>,
  '/networkreport/': networkreports as ResourceType<KubeObject>,
}

/**
 * Removes the Lease, the CSINode and the NetworkReport of a node that is gone. Where tenants live the garbage collector does it as well; a partition
 * that holds nodes alone runs none, since the owners of what it holds copies of are elsewhere.
 */
export function startNodeObjectCollector(deps: ControllerDeps): RunningController {
  const nodeCache = deps.informers.informer(nodes)
  const leaseCache = deps.informers.informer(leases, { namespace: LEASE_NAMESPACE })
  const others = Object.entries(CLUSTER_SCOPED).map(([prefix, type]) => ({
    prefix,
    type,
    cache: deps.informers.informer(type),
  }))
  const authority = createLocalNodeAuthority(deps.client)
  /** The cache may be behind: only the server's own word makes a node gone. */
  const isLeft = async (object: Stored<KubeObject> | undefined): Promise<boolean> => {
    if (object === undefined) return false
    const node = nodeCache.get(object.metadata.name)
    if (!isLeftByNode(object, node)) return false
    return node !== undefined || authority.isNodeGone(object.metadata.name, undefined)
  }
  return startReconciler(deps, {
    name: 'node-object-collector-controller',
    informer: leaseCache,
    needs: [nodeCache, ...others.map(({ cache }) => cache)],
    watch({ queue }) {
      const onLease = (lease: Stored<KubeObject>): void => {
        if (isLeftByNode(lease, nodeCache.get(lease.metadata.name))) queue.add(objectKey(lease))
      }
      const onNodeGone = ({ metadata }: Stored<KubeObject>): void => {
        queue.add(`${LEASE_NAMESPACE}/${metadata.name}`)
        for (const { prefix } of others) queue.add(prefix + metadata.name)
      }
      return [
        leaseCache.addHandler({ onAdd: onLease }),
        ...others.map(({ prefix, cache }) =>
          cache.addHandler({
            onAdd(object) {
              const { name } = object.metadata
              if (isLeftByNode(object, nodeCache.get(name))) queue.add(prefix + name)
            },
          }),
        ),
        nodeCache.addHandler({ onDelete: onNodeGone }),
      ]
    },
    async reconcile(key, { client }) {
      for (const { prefix, type, cache } of others) {
        if (!key.startsWith(prefix)) continue
        const object = cache.get(key.slice(prefix.length))
        if (await isLeft(object)) await client.delete(type, object!.metadata, only(object!)).catch(ignoreGone)
        return
      }
      const lease = leaseCache.get(key as ObjectKey)
      if (await isLeft(lease)) await client.delete(leases, parseKey(key as ObjectKey), only(lease!)).catch(ignoreGone)
    },
  })
}

function only({ metadata }: Stored<KubeObject>): { preconditions: { uid: string } } {
  return { preconditions: { uid: metadata.uid } }
}

function ignoreGone(error: unknown): void {
  if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
}
