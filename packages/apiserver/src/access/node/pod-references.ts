import type { Container, Pod, PodSpec, Volume } from '@centaurus/api/core/v1'

/** What a pod lets its node read; names within the pod's namespace. */
export interface PodReferences {
  readonly secrets: ReadonlySet<string>
  readonly configmaps: ReadonlySet<string>
  readonly persistentvolumeclaims: ReadonlySet<string>
  readonly resourceclaims: ReadonlySet<string>
  readonly serviceaccounts: ReadonlySet<string>
}

type References = { [K in keyof PodReferences]: Set<string> }

/** Set on the API's copy of a static pod, which a node writes itself and which must not open anything to it. */
export const MIRROR_POD_ANNOTATION = 'kubernetes.io/config.mirror'

/** Every object that the pod's spec and status name. Source: pkg/api/v1/pod VisitPodSecretNames, VisitPodConfigmapNames; node/graph.go (v1.37). */
export function podReferences(pod: Readonly<Pod>): PodReferences {
  const references: References = {
    secrets: new Set(),
    configmaps: new Set(),
    persistentvolumeclaims: new Set(),
    resourceclaims: new Set(),
    serviceaccounts: new Set(),
  }
  const { spec, metadata } = pod
  if (spec === undefined || metadata.annotations?.[MIRROR_POD_ANNOTATION] !== undefined) return references
  add(references.serviceaccounts, spec.serviceAccountName)
  for (const secret of spec.imagePullSecrets ?? []) add(references.secrets, secret.name)
  for (const container of allContainers(spec)) addContainer(references, container)
  for (const volume of spec.volumes ?? []) addVolume(references, volume, metadata.name ?? '')
  addClaims(references, pod)
  return references
}

function allContainers(spec: PodSpec): Pick<Container, 'env' | 'envFrom'>[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]
}

function addContainer(references: References, container: Pick<Container, 'env' | 'envFrom'>): void {
  for (const { secretRef, configMapRef } of container.envFrom ?? []) {
    add(references.secrets, secretRef?.name)
    add(references.configmaps, configMapRef?.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    add(references.secrets, valueFrom?.secretKeyRef?.name)
    add(references.configmaps, valueFrom?.configMapKeyRef?.name)
  }
}

function addVolume(references: References, volume: Volume, podName: string): void {
  add(references.secrets, volume.secret?.secretName)
  add(references.configmaps, volume.configMap?.name)
  add(references.persistentvolumeclaims, volume.persistentVolumeClaim?.claimName)
  if (volume.ephemeral !== undefined) references.persistentvolumeclaims.add(`${podName}-${volume.name}`)
  for (const source of volume.projected?.sources ?? []) {
    add(references.secrets, source.secret?.name)
    add(references.configmaps, source.configMap?.name)
  }
  add(references.secrets, volume.azureFile?.secretName)
  add(references.secrets, volume.csi?.nodePublishSecretRef?.name)
  for (const driver of [volume.cephfs, volume.flexVolume, volume.iscsi, volume.rbd, volume.scaleIO, volume.storageos]) {
    add(references.secrets, driver?.secretRef?.name)
  }
}

function addClaims(references: References, pod: Readonly<Pod>): void {
  const created = new Map(
    (pod.status?.resourceClaimStatuses ?? []).map((status) => [status.name, status.resourceClaimName]),
  )
  for (const claim of pod.spec?.resourceClaims ?? []) {
    add(references.resourceclaims, claim.resourceClaimName ?? created.get(claim.name))
  }
  add(references.resourceclaims, pod.status?.extendedResourceClaimStatus?.resourceClaimName)
}

function add(names: Set<string>, name: string | undefined): void {
  if (name !== undefined && name !== '') names.add(name)
}
