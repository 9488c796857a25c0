import {
  isLocalVolumeOf,
  isStatus,
  LOCAL_PROVISIONER,
  PROVISIONED_BY,
  qualifyName,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
} from '@centaurus/api'
import {
  configmaps,
  persistentvolumeclaims,
  persistentvolumes,
  secrets,
  type ConfigMap,
  type Container,
  type PersistentVolume,
  type Pod,
  type Secret,
  type Service,
} from '@centaurus/api/core/v1'

import type { Client } from '@centaurus/client'

import type { DownwardContext } from '../pod/downward.ts'
import type { EnvironmentSources } from '../pod/environment.ts'
import type { VolumeSources } from '../volumes/pod-volumes.ts'
import type { TokenCache } from '../volumes/token-cache.ts'
import type { ObjectCache } from './object-cache.ts'

/** Reads, from the API, what the container's environment names; the environment itself is then made without I/O. */
export async function loadEnvironment(
  pod: Pod,
  container: Container,
  {
    objects,
    services,
    downward,
  }: { readonly objects: ObjectCache; readonly services: readonly Service[]; readonly downward: DownwardContext },
): Promise<EnvironmentSources> {
  const namespace = pod.metadata.namespace ?? ''
  const mapNames = new Set<string>()
  const secretNames = new Set<string>()
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef?.name !== undefined) mapNames.add(configMapRef.name)
    if (secretRef?.name !== undefined) secretNames.add(secretRef.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef?.name !== undefined) mapNames.add(valueFrom.configMapKeyRef.name)
    if (valueFrom?.secretKeyRef?.name !== undefined) secretNames.add(valueFrom.secretKeyRef.name)
  }
  const maps = new Map<string, ConfigMap | undefined>()
  const found = new Map<string, Secret | undefined>()
  await Promise.all([
    ...[...mapNames].map(async (name) => maps.set(name, await objects.get(configmaps, namespace, name))),
    ...[...secretNames].map(async (name) => found.set(name, await objects.get(secrets, namespace, name))),
  ])
  return {
    configMap: (name) => maps.get(name),
    secret: (name) => found.get(name),
    services: visibleServices(pod, services),
    downward,
  }
}

/** Source: kubelet getServiceEnvVarMap, v1.37: the API server's own service always (a tenant's pod has its tenant's), its namespace's when links are on. */
function visibleServices(pod: Pod, services: readonly Service[]): Service[] {
  const links = pod.spec?.enableServiceLinks !== false
  const home = qualifyName('default', pod.metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT)
  const master = (service: Service): boolean =>
    service.metadata.namespace === home && service.metadata.name === 'kubernetes'
  return services.filter(
    (service) => master(service) || (links && service.metadata.namespace === pod.metadata.namespace),
  )
}

/** What volumes are filled from. */
export function volumeSources(
  pod: Pod,
  {
    client,
    config,
    objects,
    tokens,
    downward,
  }: {
    readonly client: Client
    readonly config: { readonly nodeName: string }
    readonly objects: ObjectCache
    readonly tokens: TokenCache
    readonly downward: DownwardContext
  },
): VolumeSources {
  const namespace = pod.metadata.namespace ?? ''
  return {
    configMap: (name) => objects.get(configmaps, namespace, name),
    secret: (name) => objects.get(secrets, namespace, name),
    // Asked each time: a claim of the same name made anew has another volume, and the data of the old one is not for it.
    persistentVolumeClaim: (name) => client.get(persistentvolumeclaims, { namespace, name }).catch(undefinedIfMissing),
    persistentVolume: async (name) =>
      checkPlace(config.nodeName, await client.get(persistentvolumes, { name }).catch(undefinedIfMissing)),
    token: (request) => tokens.token(pod, request),
    downward,
  }
}

/** A folder of another node would be made here, empty. */
function checkPlace(nodeName: string, volume: PersistentVolume | undefined): PersistentVolume | undefined {
  const isFolder = volume?.metadata.annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER
  if (isFolder && !isLocalVolumeOf(nodeName, volume))
    throw new Error(`volume "${volume.metadata.name}" node affinity doesn't match node "${nodeName}"`)
  return volume
}

function undefinedIfMissing(error: unknown): undefined {
  if (!isStatus(error, 'NotFound')) throw error
}
