import type { KeyToPath, Volume } from '../../generated/types/core/v1.ts'
import type { ObjectMeta } from '../../generated/types/meta/v1.ts'
import { checkDnsLabel, checkDnsSubdomain } from '../../meta/names.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import {
  checkId,
  checkOneOf,
  checkRequired,
  checkRequiredName,
  checkRequiredOneOf,
  tryQuantity,
} from '../shared/check.ts'
import { validateClaimTemplate } from '../storage/validate-claim.ts'
import { checkCSIDriverName } from '../storage/driver-name.ts'
import { checkFileMode, checkNoBacksteps } from './paths.ts'
import { PULL_POLICIES } from './policies.ts'
import { validateDownwardFile, validateKeyToPath } from './validate-files.ts'
import { validateProjected } from './validate-projected.ts'

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
]

/** Names of volumes, each of exactly one type. Source: ValidateVolumes, pkg/apis/core/validation v1.37. */
export function validateVolumes(
  volumes: readonly Volume[] | undefined,
  path: FieldPath,
  podMeta: Readonly<ObjectMeta> | undefined,
): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  const podName = podMeta?.name
  const madeClaims = (volumes ?? []).flatMap((volume) =>
    podName && volume.ephemeral ? [`${podName}-${volume.name}`] : [],
  )
  for (const [i, volume] of (volumes ?? []).entries()) {
    const at = path.index(i)
    const own = [
      ...validateVolumeSource(volume, at),
      ...checkRequiredName(volume.name, at.child('name'), checkDnsLabel),
    ]
    if (volume.name && volume.ephemeral !== undefined && podName) own.push(...checkClaimName(podName, volume.name, at))
    if (seen.has(volume.name)) own.push(duplicate(at.child('name'), volume.name))
    if (own.length === 0) seen.add(volume.name)
    errors.push(...own)
    const claim = volume.persistentVolumeClaim?.claimName
    if (claim !== undefined && madeClaims.includes(claim)) {
      const detail = 'must not reference a PVC that gets created for an ephemeral volume'
      errors.push(invalid(at.child('persistentVolumeClaim', 'claimName'), claim, detail))
    }
  }
  return errors
}

function checkClaimName(podName: string, volumeName: string, path: FieldPath): FieldError[] {
  const claimName = `${podName}-${volumeName}`
  return checkDnsSubdomain(claimName).map((text) => {
    return invalid(path.child('name'), volumeName, `PVC name ${JSON.stringify(claimName)}: ${text}`)
  })
}

function validateVolumeSource(volume: Volume, path: FieldPath): FieldError[] {
  const { name: _, ...sources } = volume
  const [first, ...others] = Object.entries(sources).flatMap(([name, source]) => (source ? [name] : []))
  if (first === undefined) return [required(path, 'must specify a volume type')]
  return [
    ...validateCommonSource(volume, path),
    ...validateClaimSource(volume, path),
    ...others.map((name) => forbiddenField(path.child(name), 'may not specify more than 1 volume type')),
  ]
}

/** Volumes whose files the node itself writes. */
function validateCommonSource(
  { emptyDir, hostPath, secret, configMap, downwardAPI, projected }: Volume,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  if (emptyDir !== undefined) errors.push(...validateEmptyDir(emptyDir, path.child('emptyDir')))
  if (hostPath !== undefined) {
    const at = path.child('hostPath')
    errors.push(
      ...checkRequired(hostPath.path, at.child('path')),
      ...checkNoBacksteps(hostPath.path ?? '', at.child('path')),
    )
    errors.push(...checkOneOf(hostPath.type, at.child('type'), HOST_PATH_TYPES))
  }
  if (secret !== undefined) {
    const at = path.child('secret')
    errors.push(...checkRequired(secret.secretName, at.child('secretName')), ...validateKeyFiles(secret, at))
  }
  if (configMap !== undefined) {
    const at = path.child('configMap')
    errors.push(...checkRequired(configMap.name, at.child('name')), ...validateKeyFiles(configMap, at))
  }
  if (downwardAPI !== undefined) {
    const at = path.child('downwardAPI')
    errors.push(...checkFileMode(downwardAPI.defaultMode, at.child('defaultMode')))
    errors.push(...(downwardAPI.items ?? []).flatMap((file) => validateDownwardFile(file, at)))
  }
  if (projected !== undefined) errors.push(...validateProjected(projected, path.child('projected')))
  return errors
}

/** Volumes that others provide. */
function validateClaimSource(
  { persistentVolumeClaim, nfs, csi, ephemeral, image }: Volume,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  if (persistentVolumeClaim !== undefined) {
    errors.push(...checkRequired(persistentVolumeClaim.claimName, path.child('persistentVolumeClaim', 'claimName')))
  }
  if (nfs !== undefined) errors.push(...validateNFS(nfs, path.child('nfs')))
  if (csi !== undefined) {
    const at = path.child('csi')
    errors.push(...checkCSIDriverName(csi.driver, at.child('driver')))
    if (csi.nodePublishSecretRef !== undefined) {
      errors.push(
        ...checkRequiredName(
          csi.nodePublishSecretRef.name,
          at.child('nodePublishSecretRef', 'name'),
          checkDnsSubdomain,
        ),
      )
    }
  }
  if (ephemeral !== undefined) {
    const at = path.child('ephemeral', 'volumeClaimTemplate')
    errors.push(
      ...(ephemeral.volumeClaimTemplate ? validateClaimTemplate(ephemeral.volumeClaimTemplate, at) : [required(at)]),
    )
  }
  if (image !== undefined) {
    const at = path.child('image')
    errors.push(...checkRequired(image.reference, at.child('reference')))
    errors.push(...checkRequiredOneOf(image.pullPolicy, at.child('pullPolicy'), PULL_POLICIES))
  }
  return errors
}

function validateEmptyDir(source: NonNullable<Volume['emptyDir']>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if ((tryQuantity(source.sizeLimit)?.nanos ?? 0n) < 0n) {
    errors.push(forbiddenField(path.child('sizeLimit'), 'SizeLimit field must be a valid resource quantity'))
  }
  if (source.mode !== undefined && (source.mode < 0 || source.mode > 0o1777)) {
    errors.push(
      invalid(path.child('mode'), source.mode, 'must be a number between 0 and 01777 (octal), both inclusive'),
    )
  }
  return errors
}

/** Source: validateNFSVolumeSource. */
export function validateNFS(nfs: { server: string; path: string }, path: FieldPath): FieldError[] {
  const errors = [...checkRequired(nfs.server, path.child('server')), ...checkRequired(nfs.path, path.child('path'))]
  if (!nfs.path?.startsWith('/')) errors.push(invalid(path.child('path'), nfs.path ?? '', 'must be an absolute path'))
  return errors
}

interface KeyFiles {
  readonly defaultMode?: number | undefined
  readonly defaultUser?: number | undefined
  readonly items?: readonly KeyToPath[] | undefined
}

function validateKeyFiles(source: KeyFiles, path: FieldPath): FieldError[] {
  return [
    ...checkFileMode(source.defaultMode, path.child('defaultMode')),
    ...checkId(source.defaultUser, path.child('defaultUser')),
    ...(source.items ?? []).flatMap((item, i) => validateKeyToPath(item, path.child('items').index(i))),
  ]
}
