import type {
  PersistentVolumeClaimSpec,
  PersistentVolumeClaimTemplate,
  TypedObjectReference,
} from '../../generated/types/core/v1.ts'
import type { ObjectMeta } from '../../generated/types/meta/v1.ts'
import { checkDnsLabel, checkDnsSubdomain } from '../../meta/names.ts'
import { validateAnnotations, validateLabels } from '../../meta/validate-object-meta.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkOneOf, checkRequired, invalidFor, tryQuantity } from '../shared/check.ts'
import { validateLabelSelector } from '../shared/selector.ts'

/** How a volume may be mounted, as upstream prints them. */
export const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
export const VOLUME_MODES = ['Block', 'Filesystem']

/** Source: ValidatePersistentVolumeClaimSpec, pkg/apis/core/validation v1.37. */
export function validateClaimSpec(
  spec: Readonly<PersistentVolumeClaimSpec> | undefined,
  path: FieldPath,
): FieldError[] {
  const modesPath = path.child('accessModes')
  const modes = spec?.accessModes ?? []
  return [
    ...(modes.length === 0 ? [required(modesPath, 'at least 1 access mode is required')] : []),
    ...validateLabelSelector(spec?.selector, path.child('selector')),
    ...validateAccessModes(modes, modesPath),
    ...validateRequestedStorage(spec?.resources?.requests?.['storage'], path.child('resources').key('storage')),
    ...checkClassName(spec?.storageClassName, path.child('storageClassName')),
    ...checkOneOf(spec?.volumeMode, path.child('volumeMode'), VOLUME_MODES),
    ...validateDataSources(spec ?? {}, path),
    ...checkClassName(spec?.volumeAttributesClassName, path.child('volumeAttributesClassName')),
  ]
}

/** Source: ValidatePersistentVolumeClaimTemplate. */
export function validateClaimTemplate(
  template: Readonly<PersistentVolumeClaimTemplate>,
  path: FieldPath,
): FieldError[] {
  return [...validateTemplateMeta(template.metadata, path), ...validateClaimSpec(template.spec, path.child('spec'))]
}

/** Metadata of a template has labels and annotations only. Source: ValidateTemplateObjectMeta. */
export function validateTemplateMeta(meta: Readonly<ObjectMeta> | undefined, parent: FieldPath): FieldError[] {
  const path = parent.child('metadata')
  const { labels = {}, annotations = {}, ...others } = meta ?? {}
  const errors = [
    ...validateAnnotations(annotations, path.child('annotations')),
    ...validateLabels(labels, path.child('labels')),
  ]
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined && value !== null && value !== '')
      errors.push(forbiddenField(path.child(name), 'cannot be set'))
  }
  return errors
}

/** Modes of a claim or a volume: known ones, and ReadWriteOncePod only by itself. */
export function validateAccessModes(modes: readonly string[], path: FieldPath): FieldError[] {
  const errors = modes.flatMap((mode) => checkOneOf(mode, path, ACCESS_MODES))
  const others = modes.filter((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode))
  if (modes.includes('ReadWriteOncePod') && others.length > 0) {
    errors.push(forbiddenField(path, 'may not use ReadWriteOncePod with other access modes'))
  }
  return errors
}

function checkClassName(name: string | undefined, path: FieldPath): FieldError[] {
  return name ? invalidFor(path, name, checkDnsSubdomain(name)) : []
}

function validateRequestedStorage(text: string | undefined, path: FieldPath): FieldError[] {
  if (text === undefined) return [required(path)]
  const quantity = tryQuantity(text)
  return quantity !== undefined && quantity.nanos <= 0n
    ? [invalid(path, quantity.text, 'must be greater than zero')]
    : []
}

function validateDataSources(spec: Readonly<PersistentVolumeClaimSpec>, path: FieldPath): FieldError[] {
  const { dataSource, dataSourceRef } = spec
  const errors = [
    ...validateSource(dataSource, path.child('dataSource')),
    ...validateSource(dataSourceRef, path.child('dataSourceRef')),
  ]
  if (dataSource === undefined || dataSourceRef === undefined) return errors
  const isSame =
    dataSource.apiGroup === dataSourceRef.apiGroup &&
    dataSource.kind === dataSourceRef.kind &&
    dataSource.name === dataSourceRef.name
  const value = String(path.child('dataSource'))
  if (dataSourceRef.namespace)
    errors.push(invalid(path, value, 'may not be specified when dataSourceRef.namespace is specified'))
  else if (!isSame) errors.push(invalid(path, value, 'must match dataSourceRef'))
  return errors
}

function validateSource(source: TypedObjectReference | undefined, path: FieldPath): FieldError[] {
  if (source === undefined) return []
  const errors = [...checkRequired(source.name, path.child('name')), ...checkRequired(source.kind, path.child('kind'))]
  if (!source.apiGroup && source.kind !== 'PersistentVolumeClaim') {
    errors.push(
      invalid(path, source.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
    )
  }
  if (source.apiGroup)
    errors.push(...invalidFor(path.child('apiGroup'), source.apiGroup, checkDnsSubdomain(source.apiGroup)))
  if (source.namespace)
    errors.push(...invalidFor(path.child('namespace'), source.namespace, checkDnsLabel(source.namespace)))
  return errors
}
