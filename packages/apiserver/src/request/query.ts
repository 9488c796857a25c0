import {
  badRequest,
  checkFieldLabels,
  everyField,
  everything,
  FieldPath,
  invalidObject,
  notSupported,
  parseFieldSelector,
  parseLabelSelector,
} from '@centaurus/api'
import type { IncludeObject } from '../respond/table.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { FieldsOf } from '../watch-cache/cached-object.ts'
import { Selection } from '../watch-cache/selection.ts'
import { isTrue } from './parse-request-info.ts'

/** Query parameters that may be given more than once. */
type Query = Pick<URLSearchParams, 'get' | 'getAll'>

const NO_FIELDS: FieldsOf = () => ({})

/** The selection that a list or a watch asks for. Throws BadRequest for selectors that can't be read. */
export function readSelection(query: Query, definition: ResourceDefinition, namespace: string, name = ''): Selection {
  return createSelection(definition, {
    namespace,
    name,
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
  })
}

export interface SelectionText {
  readonly namespace: string
  readonly name?: string | undefined
  readonly labelSelector: string
  readonly fieldSelector: string
}

export function createSelection(definition: ResourceDefinition, text: SelectionText): Selection {
  const { behavior, info } = definition
  const labels = text.labelSelector === '' ? everything : parseLabelSelector(text.labelSelector)
  const fields = text.fieldSelector === '' ? everyField : parseFieldSelector(text.fieldSelector)
  if (!fields.isEmpty) {
    const known = new Set(['metadata.name', ...(info.namespaced ? ['metadata.namespace'] : [])])
    for (const field of behavior.selectableFieldNames ?? []) known.add(field)
    checkFieldLabels(fields, known)
  }
  return new Selection({
    namespace: text.namespace,
    name: text.name,
    labels,
    fields,
    fieldsOf: behavior.selectableFields ?? NO_FIELDS,
  })
}

/** Throws BadRequest for what is no whole number ≥ 0. */
export function readCount(query: Query, name: string): number {
  const text = query.get(name)
  if (text === null || text === '') return 0
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) {
    throw badRequest(`unable to parse query parameter ${name}: ${JSON.stringify(text)} is not a number`)
  }
  return value
}

export function readDryRun(query: Query): boolean {
  return checkDryRun(query.getAll('dryRun').filter((value) => value !== ''))
}

/** `All` is the only way there is. Source: apimachinery ValidateDryRun. */
export function checkDryRun(values: readonly string[]): boolean {
  const unknown = values.filter((value) => value !== 'All')
  if (unknown.length > 0) {
    const errors = [notSupported(new FieldPath('dryRun'), values, ['All'])]
    throw invalidObject({ group: 'meta.k8s.io', kind: 'CreateOptions' }, '', errors)
  }
  return values.length > 0
}

/** Default `Warn`, as upstream's server has it. */
export function readFieldValidation(query: Query): 'Strict' | 'Warn' | 'Ignore' {
  const value = query.get('fieldValidation') ?? ''
  if (value === '') return 'Warn'
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value
  const errors = [notSupported(new FieldPath('fieldValidation'), value, ['', 'Ignore', 'Strict', 'Warn'])]
  throw invalidObject({ group: 'meta.k8s.io', kind: 'CreateOptions' }, '', errors)
}

export function readIncludeObject(query: Query): IncludeObject {
  const value = query.get('includeObject') ?? ''
  return value === 'None' || value === 'Object' ? value : 'Metadata'
}

export function readPretty(query: Query, userAgent: string | undefined): boolean {
  const value = query.get('pretty')
  if (value !== null) return isTrue(value)
  // People read what these print. Source: apiserver handlers/negotiation isPrettyPrint.
  return userAgent !== undefined && /^(curl|Wget|Mozilla)/.test(userAgent)
}
