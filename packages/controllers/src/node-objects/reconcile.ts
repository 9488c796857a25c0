import { isStatus, objectKey, parseKey, type KubeObject, type ObjectKey, type Stored } from '@centaurus/api'
import { leases } from '@centaurus/api/coordination/v1'
import { nodes } from '@centaurus/api/core/v1'
import { csinodes } from '@centaurus/api/storage/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { createLocalNodeAuthority } from '../frame/node-authority.ts'
import { isLeftByNode } from './plan.ts'

/** Source: the kubelet's node leases. */
const LEASE_NAMESPACE = 'kube-node-lease'
/** Keys of CSINodes; those of leases have a namespace. */
const CSI_PREFIX = '/csinode/'

/**
 * Removes the Lease and the CSINode of a node that is gone. Where tenants live the garbage collector does it as well; a partition
 * that holds nodes alone runs none, since the owners of what it holds copies of are elsewhere.
 */
export function startNodeObjectCollector(deps: ControllerDeps): RunningController {
  const nodeCache = deps.informers.informer(nodes)
  const leaseCache = deps.informers.informer(leases, { namespace: LEASE_NAMESPACE })
  const csiCache = deps.informers.informer(csinodes)
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
    needs: [nodeCache, csiCache],
    watch({ queue }) {
      const onLease = (lease: Stored<KubeObject>): void => {
        if (isLeftByNode(lease, nodeCache.get(lease.metadata.name))) queue.add(objectKey(lease))
      }
      const onCsiNode = (csiNode: Stored<KubeObject>): void => {
        if (isLeftByNode(csiNode, nodeCache.get(csiNode.metadata.name))) queue.add(CSI_PREFIX + csiNode.metadata.name)
      }
      const onNodeGone = ({ metadata }: Stored<KubeObject>): void => {
        queue.add(`${LEASE_NAMESPACE}/${metadata.name}`)
        queue.add(CSI_PREFIX + metadata.name)
      }
      return [
        leaseCache.addHandler({ onAdd: onLease }),
        csiCache.addHandler({ onAdd: onCsiNode }),
        nodeCache.addHandler({ onDelete: onNodeGone }),
      ]
    },
    async reconcile(key, { client }) {
      if (key.startsWith(CSI_PREFIX)) {
        const csiNode = csiCache.get(key.slice(CSI_PREFIX.length) as ObjectKey)
        if (await isLeft(csiNode)) await client.delete(csinodes, csiNode!.metadata, only(csiNode!)).catch(ignoreGone)
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
