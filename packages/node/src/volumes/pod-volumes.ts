import { chmod, chown, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { quantityValue } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '@centaurus/api/core/v1'

import { writeAtomically } from './atomic-writer.ts'
import type { LocalVolumes } from './local-volumes.ts'
import type { Mounter } from './mounts.ts'
import { isPayloadVolume, makePayload, tokenOwner, type PayloadSources } from './payload.ts'

export interface VolumeSources extends PayloadSources {
  persistentVolumeClaim(name: string): Promise<PersistentVolumeClaim | undefined>
  persistentVolume(name: string): Promise<PersistentVolume | undefined>
}

export interface PodVolumesOptions {
  /** Folder of this pod: `…/pods/UID`. */
  readonly podDir: string
  readonly mounter: Mounter
  readonly sources: VolumeSources
  /** Volumes of this node that are made on first use. */
  readonly localVolumes?: LocalVolumes | undefined
}

/** Volume name to the path on this host. */
export type VolumePaths = ReadonlyMap<string, string>

/**
 * Makes every volume of the pod ready, and refreshes those that come from the API. Idempotent. Throws an error that names the volume:
 * the text of FailedMount.
 */
export async function setUpVolumes(pod: Pod, options: PodVolumesOptions): Promise<VolumePaths> {
  const paths = new Map<string, string>()
  for (const volume of pod.spec?.volumes ?? []) {
    try {
      paths.set(volume.name, await setUpVolume(pod, volume, options))
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`MountVolume.SetUp failed for volume "${volume.name}" : ${detail}`, { cause })
    }
  }
  return paths
}

/** Rewrites what the API changed since; for pods that run already. */
export async function refreshVolumes(pod: Pod, options: PodVolumesOptions): Promise<void> {
  for (const volume of pod.spec?.volumes ?? []) if (isPayloadVolume(volume)) await setUpVolume(pod, volume, options)
}

/** Unmounts and deletes all that the pod had on this host. Never follows a mount: a volume of the host is not ours to empty. */
export async function tearDownVolumes({
  podDir,
  mounter,
}: Pick<PodVolumesOptions, 'podDir' | 'mounter'>): Promise<void> {
  for (const point of await mounter.listBelow(podDir)) await mounter.unmount(point)
  const left = await mounter.listBelow(podDir)
  if (left.length > 0) throw new Error(`Cannot remove "${podDir}": still mounted: ${left.join(', ')}`)
  await rm(podDir, { recursive: true, force: true })
}

/** Claims that the pod mounts, those of its ephemeral volumes included. */
export function claimNamesOf({ metadata, spec }: Pod): string[] {
  return (spec?.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim !== undefined) return [volume.persistentVolumeClaim.claimName]
    return volume.ephemeral === undefined ? [] : [`${metadata.name ?? ''}-${volume.name}`]
  })
}

async function setUpVolume(pod: Pod, volume: Volume, options: PodVolumesOptions): Promise<string> {
  if (volume.hostPath !== undefined) return checkHostPath(volume.hostPath.path, volume.hostPath.type ?? '')
  if (volume.persistentVolumeClaim !== undefined) return claimPath(pod, volume.persistentVolumeClaim.claimName, options)
  if (volume.ephemeral !== undefined) return claimPath(pod, `${pod.metadata.name ?? ''}-${volume.name}`, options)
  if (volume.emptyDir !== undefined) return setUpEmptyDir(pod, volume, options)
  if (!isPayloadVolume(volume))
    throw new Error(
      `volume type ${Object.keys(volume).find((key) => key !== 'name') ?? 'unknown'} is not supported by this node`,
    )
  const dir = volumeDir(options.podDir, pluginOf(volume), volume.name)
  const payload = await makePayload(pod, volume, options.sources)
  const hasToken = volume.projected?.sources?.some((source) => source.serviceAccountToken !== undefined) === true
  await writeAtomically(dir, payload, {
    group: pod.spec?.securityContext?.fsGroup,
    owner: hasToken ? tokenOwner(pod) : undefined,
  })
  return dir
}

async function setUpEmptyDir(pod: Pod, volume: Volume, { podDir, mounter }: PodVolumesOptions): Promise<string> {
  const dir = volumeDir(podDir, 'kubernetes.io~empty-dir', volume.name)
  const isNew = (await mkdir(dir, { recursive: true })) !== undefined
  if (volume.emptyDir?.medium === 'Memory' && !(await mounter.listBelow(dir)).includes(dir)) {
    const limit = volume.emptyDir.sizeLimit
    await mounter.mountTmpfs(dir, { sizeBytes: limit === undefined ? undefined : quantityValue(limit) })
    await chmod(dir, 0o777)
  } else if (isNew) await chmod(dir, 0o777)
  const group = pod.spec?.securityContext?.fsGroup
  if (group !== undefined) await applyFsGroup(dir, group)
  return dir
}

/** The group owns everything, may do what the owner may, and new files inherit it. Source: volume.SetVolumeOwnership, v1.37. */
async function applyFsGroup(dir: string, group: number): Promise<void> {
  const info = await lstat(dir)
  if (info.isSymbolicLink()) return
  if (info.gid !== group) await chown(dir, info.uid, group)
  await chmod(dir, (info.mode & 0o7777) | (info.isDirectory() ? 0o2770 : 0o660))
  if (info.isDirectory()) for (const entry of await readdir(dir)) await applyFsGroup(join(dir, entry), group)
}

/** What lives longer than a pod is walked through only when the pod asks for it, or its root shows that it was not. Source: requiresPermissionChange, v1.37. */
async function applyVolumeGroup(pod: Pod, path: string): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = pod.spec?.securityContext ?? {}
  if (fsGroup === undefined) return
  const { gid, mode } = await lstat(path)
  if (fsGroupChangePolicy === 'OnRootMismatch' && gid === fsGroup && (mode & 0o2770) === 0o2770) return
  await applyFsGroup(path, fsGroup)
}

/** Source: volume/hostpath checkType, v1.37. */
async function checkHostPath(path: string, type: string): Promise<string> {
  const info = await stat(path).catch(() => undefined)
  if (type === 'DirectoryOrCreate' && info === undefined) await mkdir(path, { recursive: true, mode: 0o755 })
  else if (type === 'FileOrCreate' && info === undefined) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, '', { mode: 0o644, flag: 'a' })
  } else if (type === '' && info === undefined) await mkdir(path, { recursive: true, mode: 0o755 }) // what the runtime would do
  else if (type !== '') {
    const matches: Record<string, boolean | undefined> = {
      Directory: info?.isDirectory(),
      DirectoryOrCreate: info?.isDirectory(),
      File: info?.isFile(),
      FileOrCreate: info?.isFile(),
      Socket: info?.isSocket(),
      CharDevice: info?.isCharacterDevice(),
      BlockDevice: info?.isBlockDevice(),
    }
    const word = type.replace('OrCreate', '').toLowerCase()
    if (matches[type] !== true) throw new Error(`hostPath type check failed: ${path} is not a ${word}`)
  }
  return path
}

async function claimPath(pod: Pod, claimName: string, { sources, localVolumes }: PodVolumesOptions): Promise<string> {
  const claim = await sources.persistentVolumeClaim(claimName)
  if (claim === undefined) throw new Error(`persistentvolumeclaim "${claimName}" not found`)
  const volumeName = claim.spec?.volumeName ?? ''
  if (claim.status?.phase !== 'Bound' || volumeName === '')
    throw new Error(`persistentvolumeclaim "${claimName}" is not bound`)
  const volume = await sources.persistentVolume(volumeName)
  if (volume === undefined) throw new Error(`persistentvolume "${volumeName}" not found`)
  const holder = volume.spec?.claimRef?.uid
  if (holder !== undefined && holder !== claim.metadata.uid)
    throw new Error(`persistentvolume "${volumeName}" is not bound to persistentvolumeclaim "${claimName}"`)
  if (volume.spec?.hostPath !== undefined)
    return checkHostPath(volume.spec.hostPath.path, volume.spec.hostPath.type ?? '')
  if (volume.spec?.local !== undefined) {
    const isOurs = holder !== undefined && localVolumes?.owns(volume) === true
    const path = isOurs ? await localVolumes.ensure(volume) : await checkHostPath(volume.spec.local.path, 'Directory')
    await applyVolumeGroup(pod, path)
    return path
  }
  throw new Error(`persistentvolume "${volumeName}" must be of type hostPath or local on this node`)
}

function pluginOf(volume: Volume): string {
  if (volume.configMap !== undefined) return 'kubernetes.io~configmap'
  if (volume.secret !== undefined) return 'kubernetes.io~secret'
  return volume.downwardAPI === undefined ? 'kubernetes.io~projected' : 'kubernetes.io~downward-api'
}

function volumeDir(podDir: string, plugin: string, name: string): string {
  return join(podDir, 'volumes', plugin, name)
}
