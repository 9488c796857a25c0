import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
} from '../generated/types/apiextensions/v1.ts'
import { checkDns1035Label, checkDnsSubdomain } from '../meta/names.ts'
import { deepEqual } from '../meta/values.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from '../meta/validate-object-meta.ts'
import { FieldPath, invalid, notSupported, required, type FieldError } from '../status/field-error.ts'
import { parseJsonPath } from './json-path.ts'
import { validateSchema } from './validate-schema.ts'

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string']
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password']

/**
 * Checks a CustomResourceDefinition, with its metadata; on update pass `old`. Defaults (singular, listKind, conversion) must be set.
 * Conversion by webhook is refused: this server does not do it yet.
 * Source: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go, v0.37.
 */
export function validateCustomResourceDefinition(
  crd: Readonly<CustomResourceDefinition>,
  options: { readonly old?: Readonly<CustomResourceDefinition> | undefined } = {},
): FieldError[] {
  const { old } = options
  const path = new FieldPath('spec')
  const errors: FieldError[] = []
  if (old === undefined) {
    errors.push(
      ...validateObjectMeta(crd.metadata, { namespaced: false, nameRule: (name, rule) => checkName(crd, name, rule) }),
    )
  } else errors.push(...validateObjectMetaUpdate(crd.metadata, old.metadata), ...validateImmutable(crd, old, path))
  return [...errors, ...validateSpec(crd.spec, path), ...validateStoredVersions(crd)]
}

function checkName(
  crd: CustomResourceDefinition,
  name: string,
  rule: { isPrefix?: boolean | undefined } | undefined,
): readonly string[] {
  const errors = checkDnsSubdomain(name, rule)
  const wanted = `${crd.spec.names.plural}.${crd.spec.group}`
  return name === wanted ? errors : [...errors, 'must be spec.names.plural+"."+spec.group']
}

function validateImmutable(
  crd: CustomResourceDefinition,
  old: CustomResourceDefinition,
  path: FieldPath,
): FieldError[] {
  const isEstablished =
    old.status?.conditions?.some((condition) => condition.type === 'Established' && condition.status === 'True') ??
    false
  const fields: (readonly [FieldPath, unknown, unknown])[] = [
    [path.child('group'), crd.spec.group, old.spec.group],
    [path.child('names', 'plural'), crd.spec.names.plural, old.spec.names.plural],
  ]
  if (isEstablished) {
    fields.unshift(
      [path.child('scope'), crd.spec.scope, old.spec.scope],
      [path.child('names', 'kind'), crd.spec.names.kind, old.spec.names.kind],
    )
  }
  return fields
    .filter(([, now, before]) => !deepEqual(now, before))
    .map(([at, now]) => invalid(at, now, 'field is immutable'))
}

function validateSpec(spec: CustomResourceDefinitionSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const { group = '', scope = '' } = spec
  if (group === '') errors.push(required(path.child('group')))
  else {
    const problems = checkDnsSubdomain(group)
    if (problems.length > 0) errors.push(invalid(path.child('group'), group, problems.join(',')))
    else if (!group.includes('.'))
      errors.push(invalid(path.child('group'), group, 'should be a domain with at least one dot'))
  }
  if (scope === '') errors.push(required(path.child('scope')))
  else if (scope !== 'Cluster' && scope !== 'Namespaced')
    errors.push(notSupported(path.child('scope'), scope, ['Cluster', 'Namespaced']))
  if (spec.preserveUnknownFields === true) {
    errors.push(
      invalid(
        path.child('preserveUnknownFields'),
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    )
  }
  errors.push(...validateVersions(spec.versions ?? [], path.child('versions')))
  for (const field of ['plural', 'singular', 'kind', 'listKind'] as const) {
    if ((spec.names[field] ?? '') === '') errors.push(required(path.child('names', field)))
  }
  errors.push(...validateNames(spec.names, path.child('names')))
  return [...errors, ...validateConversion(spec, path.child('conversion'))]
}

function validateVersions(versions: readonly CustomResourceDefinitionVersion[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const [i, version] of versions.entries()) {
    const at = path.index(i)
    const problems = checkDns1035Label(version.name)
    if (problems.length > 0) errors.push(invalid(at.child('name'), version.name, problems.join(',')))
    const schema = version.schema?.openAPIV3Schema
    if (schema === undefined) errors.push(required(at.child('schema').child('openAPIV3Schema')))
    else errors.push(...validateSchema(schema, at.child('schema', 'openAPIV3Schema')))
    errors.push(...validateSubresources(version.subresources, at.child('subresources')))
    for (const [c, column] of (version.additionalPrinterColumns ?? []).entries()) {
      errors.push(...validateColumn(column, at.child('additionalPrinterColumns').index(c)))
    }
  }
  if (new Set(versions.map((version) => version.name)).size !== versions.length) {
    errors.push(invalid(path, versions, 'must contain unique version names'))
  }
  if (versions.filter((version) => version.storage).length !== 1) {
    errors.push(invalid(path, versions, 'must have exactly one version marked as storage version'))
  }
  return errors
}

function validateNames(names: CustomResourceDefinitionNames, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const field of ['plural', 'singular'] as const) {
    const name = names[field] ?? ''
    const problems = name === '' ? [] : checkDns1035Label(name)
    if (problems.length > 0) errors.push(invalid(path.child(field), name, problems.join(',')))
  }
  for (const field of ['kind', 'listKind'] as const) {
    const name = names[field] ?? ''
    const problems = name === '' ? [] : checkDns1035Label(name.toLowerCase())
    if (problems.length > 0) {
      errors.push(
        invalid(path.child(field), name, `may have mixed case, but should otherwise match: ${problems.join(',')}`),
      )
    }
  }
  for (const field of ['shortNames', 'categories'] as const) {
    for (const [i, name] of (names[field] ?? []).entries()) {
      const problems = checkDns1035Label(name)
      if (problems.length > 0) errors.push(invalid(path.child(field).index(i), name, problems.join(',')))
    }
  }
  if (names.kind !== '' && names.kind === names.listKind) {
    errors.push(invalid(path.child('listKind'), names.listKind, 'kind and listKind may not be the same'))
  }
  return errors
}

function validateSubresources(subresources: CustomResourceSubresources | undefined, path: FieldPath): FieldError[] {
  const scale = subresources?.scale
  if (scale === undefined) return []
  const at = path.child('scale')
  return [
    ...validateScalePath(scale.specReplicasPath, { path: at.child('specReplicasPath'), under: 'spec' }),
    ...validateScalePath(scale.statusReplicasPath, { path: at.child('statusReplicasPath'), under: 'status' }),
    ...(scale.labelSelectorPath === undefined
      ? []
      : validateSelectorPath(scale.labelSelectorPath, at.child('labelSelectorPath'))),
  ]
}

/** Paths of the scale subresource are field names only. */
const SIMPLE_PATH = /^(?:\.[A-Za-z_][A-Za-z0-9_-]*)+$/

function validateScalePath(
  text: string | undefined,
  { path, under }: { path: FieldPath; under: string },
): FieldError[] {
  if ((text ?? '') === '') return [required(path)]
  if (!SIMPLE_PATH.test(text!)) return [invalid(path, text, 'must be a simple json path with dot notation')]
  return text!.startsWith(`.${under}.`) ? [] : [invalid(path, text, `should be a json path under .${under}`)]
}

function validateSelectorPath(text: string, path: FieldPath): FieldError[] {
  if (!SIMPLE_PATH.test(text)) return [invalid(path, text, 'must be a simple json path with dot notation')]
  const isUnder = text.startsWith('.spec.') || text.startsWith('.status.')
  return isUnder ? [] : [invalid(path, text, 'should be a json path under either .spec or .status')]
}

function validateColumn(column: CustomResourceColumnDefinition, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const oneOf = (list: readonly string[]): string => `must be one of ${list.join(',')}`
  if ((column.name ?? '') === '') errors.push(required(path.child('name')))
  if ((column.type ?? '') === '') errors.push(required(path.child('type'), oneOf(COLUMN_TYPES)))
  else if (!COLUMN_TYPES.includes(column.type))
    errors.push(invalid(path.child('type'), column.type, oneOf(COLUMN_TYPES)))
  if ((column.format ?? '') !== '' && !COLUMN_FORMATS.includes(column.format!)) {
    errors.push(invalid(path.child('format'), column.format, oneOf(COLUMN_FORMATS)))
  }
  if ((column.jsonPath ?? '') === '') return [...errors, required(path.child('JSONPath'))]
  try {
    parseJsonPath(column.jsonPath)
  } catch (error) {
    errors.push(
      invalid(
        path.child('JSONPath'),
        column.jsonPath,
        `is an invalid JSON path: ${error instanceof Error ? error.message : ''}`,
      ),
    )
  }
  return errors
}

function validateConversion(spec: CustomResourceDefinitionSpec, path: FieldPath): FieldError[] {
  const strategy = spec.conversion?.strategy
  if (strategy === undefined || strategy === 'None') {
    const why = 'should not be set when strategy is not set to Webhook'
    return spec.conversion?.webhook === undefined
      ? []
      : [
          {
            type: 'FieldValueForbidden',
            field: String(path.child('webhookClientConfig')),
            message: `Forbidden: ${why}`,
          },
        ]
  }
  if (strategy !== 'Webhook') return [notSupported(path.child('strategy'), strategy, ['None', 'Webhook'])]
  return [{ ...notSupported(path.child('strategy'), strategy, ['None']) }]
}

/** What is stored in a version must stay readable. */
function validateStoredVersions(crd: CustomResourceDefinition): FieldError[] {
  const names = new Set((crd.spec.versions ?? []).map((version) => version.name))
  const path = new FieldPath('status').child('storedVersions')
  return (crd.status?.storedVersions ?? []).flatMap((name, i) =>
    names.has(name)
      ? []
      : [
          invalid(
            path.index(i),
            name,
            'missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions'.replaceAll(
              /\bv1\b/g,
              name,
            ),
          ),
        ],
  )
}
