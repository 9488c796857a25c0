import { encodeText } from '@centaurus/base'
import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from '../generated/types/meta/v1.ts'
import {
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from '../status/field-error.ts'
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName, type NameRule } from './names.ts'
import { deepEqual } from './values.ts'

/** Keys and values of all annotations together. Source: apimachinery pkg/api/validation/objectmeta.go. */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024
export const FIELD_MANAGER_BYTES_MAX = 128
const SUBRESOURCE_BYTES_MAX = 256
const FINALIZER_ORPHAN = 'orphan'
const FINALIZER_FOREGROUND = 'foregroundDeletion'

export interface ObjectMetaRules {
  readonly namespaced: boolean
  /** Rule for `name` and `generateName`; default {@link checkDnsSubdomain}. */
  readonly nameRule?: NameRule | undefined
  /** Default `metadata`. */
  readonly path?: FieldPath | undefined
}

/**
 * Checks the metadata of an object that is to be created, after its name was generated.
 * Source: apimachinery pkg/api/validation ValidateObjectMeta, v0.37.
 */
export function validateObjectMeta(meta: Readonly<ObjectMeta>, rules: ObjectMetaRules): FieldError[] {
  const path = rules.path ?? new FieldPath('metadata')
  const rule = rules.nameRule ?? checkDnsSubdomain
  const errors: FieldError[] = []
  const { name = '', generateName = '' } = meta
  if (generateName !== '') {
    for (const text of rule(generateName, { isPrefix: true }))
      errors.push(invalid(path.child('generateName'), generateName, text))
  }
  if (name === '') errors.push(required(path.child('name'), 'name or generateName is required'))
  else for (const text of rule(name)) errors.push(invalid(path.child('name'), name, text))
  errors.push(...validateNamespace(meta.namespace ?? '', rules.namespaced, path.child('namespace')))
  errors.push(...validateGeneration(meta, path))
  errors.push(...validateShared(meta, path))
  errors.push(...validateFinalizers(meta.finalizers ?? [], path.child('finalizers')))
  errors.push(...validateManagedFields(meta.managedFields ?? [], path.child('managedFields')))
  return errors
}

/**
 * Checks what an update may do to metadata. The server has filled `uid`, the timestamps and the generation already.
 * Source: apimachinery pkg/api/validation ValidateObjectMetaUpdate, v0.37.
 */
export function validateObjectMetaUpdate(
  meta: Readonly<ObjectMeta>,
  old: Readonly<ObjectMeta>,
  options: { readonly path?: FieldPath | undefined } = {},
): FieldError[] {
  const path = options.path ?? new FieldPath('metadata')
  const errors: FieldError[] = []
  if (old.deletionTimestamp !== undefined) errors.push(...validateNoNewFinalizers(meta, old, path.child('finalizers')))
  if ((meta.resourceVersion ?? '') === '') {
    errors.push(invalid(path.child('resourceVersion'), '', 'must be specified for an update'))
  }
  errors.push(...validateGeneration(meta, path))
  if ((meta.generation ?? 0) < (old.generation ?? 0)) {
    errors.push(invalid(path.child('generation'), meta.generation ?? 0, 'must not be decremented'))
  }
  for (const field of IMMUTABLE_FIELDS) {
    if (!deepEqual(meta[field], old[field])) errors.push(validateImmutable(meta[field], path.child(field)))
  }
  errors.push(...validateShared(meta, path))
  errors.push(...validateManagedFields(meta.managedFields ?? [], path.child('managedFields')))
  return errors
}

const IMMUTABLE_FIELDS = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const satisfies readonly (keyof ObjectMeta)[]

/** Gives an update the metadata that only the server decides. Source: apiserver pkg/registry/rest BeforeUpdate, v0.37. */
export function keepServerMetadata(draft: ObjectMeta, old: Readonly<ObjectMeta>): void {
  draft.generation = old.generation
  if ((draft.uid ?? '') === '') draft.uid = old.uid
  draft.creationTimestamp = old.creationTimestamp
  if (old.deletionTimestamp !== undefined) draft.deletionTimestamp = old.deletionTimestamp
  if (draft.deletionGracePeriodSeconds === undefined) draft.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
  delete draft.selfLink
}

function validateImmutable(value: unknown, path: FieldPath): FieldError {
  return invalid(
    path,
    value ?? (path.toString().endsWith('name') || path.toString().endsWith('uid') ? '' : null),
    'field is immutable',
  )
}

function validateNamespace(namespace: string, namespaced: boolean, path: FieldPath): FieldError[] {
  if (!namespaced) return namespace === '' ? [] : [forbiddenField(path, 'not allowed on this type')]
  if (namespace === '') return [required(path)]
  return checkDnsLabel(namespace).map((text) => invalid(path, namespace, text))
}

function validateGeneration(meta: Readonly<ObjectMeta>, path: FieldPath): FieldError[] {
  const generation = meta.generation ?? 0
  return generation < 0 ? [invalid(path.child('generation'), generation, 'must be greater than or equal to 0')] : []
}

function validateShared(meta: Readonly<ObjectMeta>, path: FieldPath): FieldError[] {
  return [
    ...validateLabels(meta.labels ?? {}, path.child('labels')),
    ...validateAnnotations(meta.annotations ?? {}, path.child('annotations')),
    ...validateOwnerReferences(meta.ownerReferences ?? [], path.child('ownerReferences')),
  ]
}

/** Labels of an object or of a pod template. */
export function validateLabels(labels: Readonly<Record<string, string>>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const [key, value] of Object.entries(labels)) {
    for (const text of checkQualifiedName(key)) errors.push(invalid(path, key, text))
    for (const text of checkLabelValue(value)) errors.push(invalid(path, value, text))
  }
  return errors
}

/** Annotations: keys as labels but in any case, values free, {@link ANNOTATIONS_BYTES_MAX} in all. */
export function validateAnnotations(annotations: Readonly<Record<string, string>>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  let characters = 0
  for (const [key, value] of Object.entries(annotations)) {
    for (const text of checkQualifiedName(key.toLowerCase())) errors.push(invalid(path, key, text))
    characters += key.length + value.length
  }
  // A character is at most three bytes of UTF-8: most objects never need the exact count.
  if (characters * 3 > ANNOTATIONS_BYTES_MAX && countBytes(annotations) > ANNOTATIONS_BYTES_MAX) {
    errors.push(tooLong(path, ANNOTATIONS_BYTES_MAX))
  }
  return errors
}

function countBytes(annotations: Readonly<Record<string, string>>): number {
  let bytes = 0
  for (const [key, value] of Object.entries(annotations)) bytes += encodeText(key).length + encodeText(value).length
  return bytes
}

/** Owner references: complete, no Event, one controller at most. */
export function validateOwnerReferences(references: readonly OwnerReference[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  let firstController = ''
  for (const [i, reference] of references.entries()) {
    errors.push(...validateOwnerReference(reference, path.index(i)))
    if (reference.controller !== true) continue
    const name = `${reference.kind}/${reference.name}`
    if (firstController === '') firstController = name
    else {
      const detail = `Only one reference can have Controller set to true. Found "true" in references for ${firstController} and ${name}`
      errors.push(invalid(path, references, detail))
    }
  }
  return errors
}

function validateOwnerReference(reference: OwnerReference, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const { apiVersion = '' } = reference
  const parts = apiVersion.split('/')
  if (apiVersion === '') errors.push(required(path.child('apiVersion'), 'must not be empty'))
  else if (parts.length > 2 || parts.at(-1) === '') {
    errors.push(invalid(path.child('apiVersion'), apiVersion, 'must be <group>/<version> or <version>'))
  }
  for (const field of ['kind', 'name', 'uid'] as const) {
    if ((reference[field] ?? '') === '') errors.push(required(path.child(field), 'must not be empty'))
  }
  if (apiVersion === 'v1' && reference.kind === 'Event') {
    errors.push(invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'))
  }
  return errors
}

function validateFinalizers(finalizers: readonly string[], path: FieldPath): FieldError[] {
  const errors = finalizers.flatMap((name) => checkQualifiedName(name).map((text) => invalid(path, name, text)))
  if (finalizers.includes(FINALIZER_ORPHAN) && finalizers.includes(FINALIZER_FOREGROUND)) {
    errors.push(
      invalid(path, finalizers, `finalizer ${FINALIZER_ORPHAN} and ${FINALIZER_FOREGROUND} cannot be both set`),
    )
  }
  return errors
}

function validateNoNewFinalizers(meta: Readonly<ObjectMeta>, old: Readonly<ObjectMeta>, path: FieldPath): FieldError[] {
  const added = (meta.finalizers ?? []).filter((name) => !(old.finalizers ?? []).includes(name))
  if (added.length === 0) return []
  const list = [...new Set(added)].toSorted().map((name) => JSON.stringify(name))
  const detail = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list.join(', ')}}`
  return [forbiddenField(path, detail)]
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[], path: FieldPath): FieldError[] {
  return entries.flatMap((entry, i) => {
    const at = path.index(i)
    const errors: FieldError[] = []
    const operation = entry.operation ?? ''
    if (operation === '') errors.push(required(at.child('operation'), 'must not be empty'))
    else if (operation !== 'Apply' && operation !== 'Update') {
      errors.push(notSupported(at.child('operation'), operation, ['Apply', 'Update']))
    }
    const fieldsType = entry.fieldsType ?? ''
    if (fieldsType !== '' && fieldsType !== 'FieldsV1') {
      errors.push(invalid(at.child('fieldsType'), fieldsType, 'must be `FieldsV1`'))
    }
    errors.push(...validateFieldManager(entry.manager ?? '', at.child('manager')))
    if ((entry.subresource ?? '').length > SUBRESOURCE_BYTES_MAX) {
      errors.push(tooLong(at.child('subresource'), SUBRESOURCE_BYTES_MAX))
    }
    return errors
  })
}

/** Name of a field manager: short and printable. Source: meta/v1/validation ValidateFieldManager. */
export function validateFieldManager(manager: string, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (manager.length <= FIELD_MANAGER_BYTES_MAX && /^[ -~]*$/.test(manager)) return errors // nearly every one, at each write
  if (encodeText(manager).length > FIELD_MANAGER_BYTES_MAX) errors.push(tooLong(path, FIELD_MANAGER_BYTES_MAX))
  let position = 0
  for (const character of manager) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(character)) {
      const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
      errors.push(invalid(path, manager, `invalid character U+${code} (at position ${position})`))
    }
    position += encodeText(character).length
  }
  return errors
}
