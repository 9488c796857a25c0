import type { Container, Pod } from '@centaurus/api/core/v1'
import type { EventInit } from '@centaurus/client'

export type PodEvent = EventInit

/** Field path of a container, which `kubectl describe` and `kubectl events` show. Source: kubecontainer.GenerateContainerRef. */
export function containerFieldPath(pod: Pod, container: Container): string {
  const field = pod.spec?.initContainers?.some(({ name }) => name === container.name)
    ? 'initContainers'
    : pod.spec?.ephemeralContainers?.some(({ name }) => name === container.name)
      ? 'ephemeralContainers'
      : 'containers'
  return `spec.${field}{${container.name}}`
}
