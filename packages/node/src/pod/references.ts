import type { Pod } from '@centaurus/api/core/v1'

/** Names of what a pod reads from its namespace, each once. */
export interface PodReferences {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
}

/** Config maps and secrets in volumes, environment and pull secrets. Source: podutil VisitPodSecretNames and VisitPodConfigmapNames, v1.37. */
export function podReferences(pod: Pod): PodReferences {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  const add = (set: Set<string>, name: string | undefined): void => {
    if (name !== undefined && name !== '') set.add(name)
  }
  const {
    volumes = [],
    initContainers = [],
    containers = [],
    ephemeralContainers = [],
    imagePullSecrets = [],
  } = pod.spec ?? {}
  for (const { name } of imagePullSecrets) add(secrets, name)
  for (const { configMap, secret, projected } of volumes) {
    add(configMaps, configMap?.name)
    add(secrets, secret?.secretName)
    for (const source of projected?.sources ?? []) {
      add(configMaps, source.configMap?.name)
      add(secrets, source.secret?.name)
    }
  }
  for (const { env = [], envFrom = [] } of [...initContainers, ...containers, ...ephemeralContainers]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add(configMaps, configMapRef?.name)
      add(secrets, secretRef?.name)
    }
    for (const { valueFrom } of env) {
      add(configMaps, valueFrom?.configMapKeyRef?.name)
      add(secrets, valueFrom?.secretKeyRef?.name)
    }
  }
  return { configMaps, secrets }
}
