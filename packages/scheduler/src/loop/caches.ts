import { formatKey, selectorFromObject, type Stored } from '@centaurus/api'
import { namespaces, persistentvolumeclaims, persistentvolumes, pods, type Pod } from '@centaurus/api/core/v1'
import { poddisruptionbudgets } from '@centaurus/api/policy/v1'
import type { InformerFactory } from '@centaurus/client'
import type { NamespaceLabels } from '../core/pod-requirements.ts'
import type { VolumeLookups } from '../core/volumes.ts'

/** What the scheduler reads besides pods and nodes. */
export interface Caches extends VolumeLookups {
  readonly namespaceLabels: NamespaceLabels
  readonly podByUid: (uid: string) => Stored<Pod> | undefined
  /** Whether removing the pod would break a disruption budget. */
  readonly isProtected: (uid: string) => boolean
  /** Calls back on changes of claims and volumes; returns what removes the handlers. */
  readonly onVolumeChange: (changed: () => void) => (() => void)[]
}

const UID_INDEX = 'scheduler/uid'

/** Starts the informers that the scheduler needs. */
export function createCaches(informers: InformerFactory): Caches {
  const podInformer = informers.informer(pods)
  const claims = informers.informer(persistentvolumeclaims)
  const volumes = informers.informer(persistentvolumes)
  const budgets = informers.informer(poddisruptionbudgets)
  const namespaceInformer = informers.informer(namespaces)
  podInformer.addIndex(UID_INDEX, (pod) => [pod.metadata.uid])
  const podByUid = (uid: string): Stored<Pod> | undefined => podInformer.byIndex(UID_INDEX, uid)[0]
  return {
    podByUid,
    namespaceLabels: (namespace) => namespaceInformer.get(namespace)?.metadata.labels,
    claim: (namespace, name) => claims.get(formatKey(namespace, name)),
    volume: (name) => volumes.get(name),
    isProtected(uid) {
      const pod = podByUid(uid)
      if (pod === undefined) return false
      return budgets
        .list(pod.metadata.namespace ?? '')
        .some(
          (budget) =>
            (budget.status?.disruptionsAllowed ?? 0) <= 0 &&
            selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels),
        )
    },
    onVolumeChange(changed) {
      const handler = { onAdd: changed, onUpdate: changed }
      return [claims.addHandler(handler), volumes.addHandler(handler)]
    },
  }
}
