import type { ConfigMap, Pod, Secret, Volume } from '@centaurus/api/core/v1'

import { podFieldValue, resourceFieldValue, type DownwardContext } from '../pod/downward.ts'

/** A file of a volume, by its path within it. */
export interface VolumeFile {
  readonly data: Uint8Array
  /** Permission bits. */
  readonly mode: number
}

export type VolumePayload = ReadonlyMap<string, VolumeFile>

export interface PayloadSources {
  configMap(name: string): Promise<ConfigMap | undefined>
  secret(name: string): Promise<Secret | undefined>
  token(request: { readonly audience: string | undefined; readonly expirationSeconds: number }): Promise<string>
  readonly downward: DownwardContext
}

const MODE_DEFAULT = 0o644
const TOKEN_SECONDS_DEFAULT = 3600

/** True for the volumes whose content comes from the API. */
export function isPayloadVolume(volume: Volume): boolean {
  return (
    volume.configMap !== undefined ||
    volume.secret !== undefined ||
    volume.downwardAPI !== undefined ||
    volume.projected !== undefined
  )
}

/** Files of a configMap, secret, downwardAPI or projected volume. Throws what FailedMount shows. Source: kubelet volume plugins, v1.37. */
export async function makePayload(pod: Pod, volume: Volume, sources: PayloadSources): Promise<VolumePayload> {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap !== undefined) return configMapPayload(configMap, configMap.defaultMode ?? MODE_DEFAULT, sources)
  if (secret !== undefined)
    return secretPayload({ ...secret, name: secret.secretName }, secret.defaultMode ?? MODE_DEFAULT, sources)
  if (downwardAPI !== undefined)
    return downwardPayload(pod, downwardAPI.items ?? [], downwardAPI.defaultMode ?? MODE_DEFAULT, sources)
  const files = new Map<string, VolumeFile>()
  const mode = projected?.defaultMode ?? MODE_DEFAULT
  for (const source of projected?.sources ?? []) {
    for (const [path, file] of await projectionPayload(pod, source, mode, sources)) files.set(path, file)
  }
  return files
}

type Projection = NonNullable<NonNullable<Volume['projected']>['sources']>[number]
type KeyItem = { readonly key: string; readonly path: string; readonly mode?: number | undefined }

async function projectionPayload(
  pod: Pod,
  source: Projection,
  mode: number,
  sources: PayloadSources,
): Promise<VolumePayload> {
  if (source.configMap !== undefined) return configMapPayload(source.configMap, mode, sources)
  if (source.secret !== undefined) return secretPayload(source.secret, mode, sources)
  if (source.downwardAPI !== undefined) return downwardPayload(pod, source.downwardAPI.items ?? [], mode, sources)
  if (source.serviceAccountToken !== undefined) {
    const { audience, expirationSeconds, path } = source.serviceAccountToken
    const token = await sources.token({ audience, expirationSeconds: expirationSeconds ?? TOKEN_SECONDS_DEFAULT })
    // Nobody but the pod's user may read a token. Source: volume/projected, v1.37.
    const shared = pod.spec?.securityContext?.fsGroup !== undefined
    const fileMode = shared ? 0o600 : tokenOwner(pod) === undefined ? mode : 0o600
    return new Map([[path, { data: Buffer.from(token), mode: fileMode }]])
  }
  const kind = Object.entries(source).find(([, value]) => value !== undefined)?.[0] ?? 'none'
  throw new Error(`projected volume source ${kind} is not supported by this node`)
}

/** The one user of all containers, when there is one. */
export function tokenOwner(pod: Pod): number | undefined {
  const common = pod.spec?.securityContext?.runAsUser
  const users = new Set((pod.spec?.containers ?? []).map((container) => container.securityContext?.runAsUser ?? common))
  return users.size === 1 ? [...users][0] : undefined
}

async function configMapPayload(
  source: {
    readonly name?: string | undefined
    readonly items?: readonly KeyItem[] | undefined
    readonly optional?: boolean | undefined
  },
  mode: number,
  sources: PayloadSources,
): Promise<VolumePayload> {
  const map = await sources.configMap(source.name ?? '')
  if (map === undefined && source.optional !== true) throw new Error(`configmap "${source.name ?? ''}" not found`)
  const data = new Map<string, Uint8Array>()
  for (const [key, value] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(value))
  for (const [key, value] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(value, 'base64'))
  return selectItems(data, source, { mode, what: 'configmap' })
}

async function secretPayload(
  source: {
    readonly name?: string | undefined
    readonly items?: readonly KeyItem[] | undefined
    readonly optional?: boolean | undefined
  },
  mode: number,
  sources: PayloadSources,
): Promise<VolumePayload> {
  const secret = await sources.secret(source.name ?? '')
  if (secret === undefined && source.optional !== true) throw new Error(`secret "${source.name ?? ''}" not found`)
  const data = new Map(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]))
  return selectItems(data, source, { mode, what: 'secret' })
}

function selectItems(
  data: ReadonlyMap<string, Uint8Array>,
  source: { readonly items?: readonly KeyItem[] | undefined; readonly optional?: boolean | undefined },
  { mode, what }: { readonly mode: number; readonly what: string },
): VolumePayload {
  if (source.items === undefined || source.items.length === 0)
    return new Map([...data].map(([key, bytes]) => [key, { data: bytes, mode }]))
  const files = new Map<string, VolumeFile>()
  for (const item of source.items) {
    const bytes = data.get(item.key)
    if (bytes !== undefined) files.set(item.path, { data: bytes, mode: item.mode ?? mode })
    else if (source.optional !== true) throw new Error(`references non-existent ${what} key: ${item.key}`)
  }
  return files
}

type DownwardItem = NonNullable<NonNullable<Volume['downwardAPI']>['items']>[number]

function downwardPayload(
  pod: Pod,
  items: readonly DownwardItem[],
  mode: number,
  { downward }: PayloadSources,
): VolumePayload {
  const files = new Map<string, VolumeFile>()
  for (const item of items) {
    const text =
      item.fieldRef !== undefined
        ? podFieldValue(pod, item.fieldRef.fieldPath, downward)
        : item.resourceFieldRef !== undefined
          ? resourceFieldValue(pod, item.resourceFieldRef, downward)
          : ''
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? mode })
  }
  return files
}
