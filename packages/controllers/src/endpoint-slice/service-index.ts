import { objectKey, selectorFromLabels, type ObjectKey, type Stored } from '@centaurus/api'
import type { Pod, Service } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import { formatLabel } from '../frame/selection.ts'

const SELECTOR_INDEX = 'selector-label'

/** Services by one label of their selector: whoever has a pod finds the services of it by the pod's labels. */
export function addSelectorIndex(services: Informer<Service>): void {
  services.addIndex(SELECTOR_INDEX, selectorIndexValues)
}

/** Keys of the services that select an object with these labels. */
export function servicesOf(
  services: Informer<Service>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): ObjectKey[] {
  return Object.entries(labels).flatMap(([key, value]) =>
    services
      .byIndex(SELECTOR_INDEX, formatLabel(namespace, key, value))
      .filter((service) => selectorFromLabels(service.spec?.selector).matches(labels))
      .map(objectKey),
  )
}

/** Any one label does, as a selected pod has them all. */
function selectorIndexValues(service: Service): readonly string[] {
  if (service.spec?.type === 'ExternalName') return []
  const first = Object.entries(service.spec?.selector ?? {})[0]
  return first === undefined ? [] : [formatLabel(service.metadata.namespace ?? '', first[0], first[1])]
}

/** Enqueues the services whose endpoints a pod's change touches: those that select it now and those that did before. */
export function watchServicePods(
  pods: Informer<Pod>,
  services: Informer<Service>,
  enqueue: (key: ObjectKey) => void,
): () => void {
  const touch = (pod: Stored<Pod>): void => {
    for (const key of servicesOf(services, pod.metadata.namespace ?? '', pod.metadata.labels ?? {})) enqueue(key)
  }
  return pods.addHandler({
    onAdd: touch,
    onUpdate(pod, old) {
      if (describeEndpoint(pod) === describeEndpoint(old)) return
      touch(old)
      touch(pod)
    },
    onDelete: touch,
  })
}

/** All that endpoints tell of a pod; most updates of a pod change none of it. */
function describeEndpoint({ metadata, spec, status }: Pod): string {
  return JSON.stringify([
    metadata.labels,
    metadata.deletionTimestamp !== undefined,
    spec?.nodeName,
    spec?.hostname,
    spec?.subdomain,
    status?.podIPs,
    status?.podIP,
    status?.phase === 'Succeeded' || status?.phase === 'Failed',
    status?.conditions?.find((condition) => condition.type === 'Ready')?.status,
  ])
}
