import type {
  DownwardAPIVolumeFile,
  PersistentVolumeClaimSpec,
  Volume,
  VolumeProjection,
} from '../../generated/types/core/v1.ts'
import { defaultPullPolicy } from './image.ts'

/** 0644, in decimal as JSON has it. */
const DEFAULT_FILE_MODE = 0o644
const DEFAULT_TOKEN_SECONDS = 3_600

/** Fills one volume. Source: SetDefaults_Volume and those of its sources, pkg/apis/core/v1 v1.37. */
export function defaultVolume(volume: Volume): void {
  const { name: _, ...sources } = volume
  if (Object.values(sources).every((source) => source === undefined || source === null)) volume.emptyDir = {}
  for (const source of [volume.secret, volume.configMap, volume.downwardAPI, volume.projected]) {
    if (source !== undefined) source.defaultMode ??= DEFAULT_FILE_MODE
  }
  defaultFieldRefs(volume.downwardAPI?.items)
  for (const projection of volume.projected?.sources ?? []) defaultProjection(projection)
  if (volume.hostPath !== undefined) volume.hostPath.type ??= ''
  if (volume.ephemeral?.volumeClaimTemplate?.spec !== undefined)
    defaultClaimSpec(volume.ephemeral.volumeClaimTemplate.spec)
  if (volume.image !== undefined)
    volume.image.pullPolicy = volume.image.pullPolicy || defaultPullPolicy(volume.image.reference)
  defaultLegacyVolume(volume)
}

/** Source: SetDefaults_PersistentVolumeClaimSpec. */
export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): void {
  spec.resources ??= {}
  spec.volumeMode ??= 'Filesystem'
}

type NetworkSources = Pick<Volume, 'iscsi' | 'azureDisk'> & {
  readonly rbd?: { pool?: string | undefined; user?: string | undefined; keyring?: string | undefined } | undefined
  readonly scaleIO?: { storageMode?: string | undefined; fsType?: string | undefined } | undefined
}

/** Volume types that are served by CSI drivers today, kept for the objects that still name them. */
export function defaultLegacyVolume(volume: NetworkSources): void {
  const { iscsi, rbd, azureDisk, scaleIO } = volume
  if (iscsi !== undefined) iscsi.iscsiInterface = iscsi.iscsiInterface || 'default'
  if (rbd !== undefined) {
    rbd.pool = rbd.pool || 'rbd'
    rbd.user = rbd.user || 'admin'
    rbd.keyring = rbd.keyring || '/etc/ceph/keyring'
  }
  if (azureDisk !== undefined) {
    azureDisk.cachingMode ??= 'ReadWrite'
    azureDisk.fsType ??= 'ext4'
    azureDisk.readOnly ??= false
    azureDisk.kind ??= 'Shared'
  }
  if (scaleIO !== undefined) {
    scaleIO.storageMode = scaleIO.storageMode || 'ThinProvisioned'
    scaleIO.fsType = scaleIO.fsType || 'xfs'
  }
}

function defaultProjection(projection: VolumeProjection): void {
  defaultFieldRefs(projection.downwardAPI?.items)
  if (projection.serviceAccountToken !== undefined)
    projection.serviceAccountToken.expirationSeconds ??= DEFAULT_TOKEN_SECONDS
}

function defaultFieldRefs(files: DownwardAPIVolumeFile[] | undefined): void {
  for (const { fieldRef, resourceFieldRef } of files ?? []) {
    if (fieldRef !== undefined) fieldRef.apiVersion = fieldRef.apiVersion || 'v1'
    if (resourceFieldRef !== undefined) resourceFieldRef.divisor = resourceFieldRef.divisor || '0'
  }
}
