import { formatKey, selectorFromObject, type Stored } from '@centaurus/api'
import { namespaces, persistentvolumeclaims, persistentvolumes, pods, type Pod } from '@centaurus/api/core/v1'
import { poddisruptionbudgets } from '@centaurus/api/policy/v1'
import type { InformerFactory } from '@centaurus/client'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { NamespaceLabels } from '../core/affinity-terms.ts'
import type { IsProtected } from '../core/preempt.ts'
import { sameLabels } from './compare.ts'
import { claimsOf, type VolumeLookups } from '../core/volumes.ts'

/** What the scheduler reads besides pods and nodes. */
export interface Caches extends Omit<VolumeLookups, 'isPromised' | 'isUsedByOther'> {
  readonly namespaceLabels: NamespaceLabels
  readonly podByUid: (uid: string) => Stored<Pod> | undefined
  /** Pods that name the claim, on a node or not. */
  readonly podsUsing: (namespace: string, claimName: string) => readonly Stored<Pod>[]
  /** Pods that name the scheduling group. */
  readonly podsOfGroup: (namespace: string, groupName: string) => readonly Stored<Pod>[]
  /** Calls back when the labels of some namespace change; returns what removes the handler. */
  readonly onNamespaceLabels: (changed: () => void) => () => void
  /** Whether removing the pod would break a disruption budget. */
  readonly isProtected: IsProtected
  /** Calls back on changes of claims, volumes and storage classes; returns what removes the handlers. */
  readonly onVolumeChange: (changed: () => void) => (() => void)[]
}

const UID_INDEX = 'scheduler/uid'
const CLAIM_INDEX = 'scheduler/claim'
const GROUP_INDEX = 'scheduler/group'
const CLASS_INDEX = 'scheduler/class'

/** Starts the informers that the scheduler needs. */
export function createCaches(informers: InformerFactory): Caches {
  const podInformer = informers.informer(pods)
  const claims = informers.informer(persistentvolumeclaims)
  const volumes = informers.informer(persistentvolumes)
  const classes = informers.informer(storageclasses)
  const budgets = informers.informer(poddisruptionbudgets)
  const namespaceInformer = informers.informer(namespaces)
  podInformer.addIndex(UID_INDEX, (pod) => [pod.metadata.uid])
  podInformer.addIndex(CLAIM_INDEX, (pod) =>
    claimsOf(pod).map(({ name }) => formatKey(pod.metadata.namespace ?? '', name)),
  )
  podInformer.addIndex(GROUP_INDEX, ({ metadata, spec }) => {
    const name = spec?.schedulingGroup?.podGroupName
    return name ? [formatKey(metadata.namespace ?? '', name)] : []
  })
  volumes.addIndex(CLASS_INDEX, (volume) => [volume.spec?.storageClassName ?? ''])
  const podByUid = (uid: string): Stored<Pod> | undefined => podInformer.byIndex(UID_INDEX, uid)[0]
  return {
    podByUid,
    namespaceLabels: (namespace) => namespaceInformer.get(namespace)?.metadata.labels,
    claim: (namespace, name) => claims.get(formatKey(namespace, name)),
    volume: (name) => volumes.get(name),
    volumesOfClass: (name) => volumes.byIndex(CLASS_INDEX, name),
    storageClass: (name) => classes.get(name),
    podsUsing: (namespace, name) => podInformer.byIndex(CLAIM_INDEX, formatKey(namespace, name)),
    podsOfGroup: (namespace, name) => podInformer.byIndex(GROUP_INDEX, formatKey(namespace, name)),
    onNamespaceLabels(changed) {
      return namespaceInformer.addHandler({
        onUpdate({ metadata }, old) {
          if (!sameLabels(metadata.labels, old.metadata.labels)) changed()
        },
      })
    },
    isProtected(_uid, { namespace, labels }) {
      return budgets
        .list(namespace)
        .some(
          (budget) =>
            (budget.status?.disruptionsAllowed ?? 0) <= 0 && selectorFromObject(budget.spec?.selector).matches(labels),
        )
    },
    onVolumeChange(changed) {
      const handler = { onAdd: changed, onUpdate: changed, onDelete: changed }
      return [claims.addHandler(handler), volumes.addHandler(handler), classes.addHandler(handler)]
    },
  }
}
