import {
  badRequest,
  checkFieldLabels,
  everyField,
  everything,
  FieldPath,
  forbiddenField,
  invalidObject,
  notSupported,
  parseFieldSelector,
  parseLabelSelector,
  type FieldError,
  type FieldSelector,
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
    const own = behavior.selectableFieldNames ?? []
    if (own.length === 0 && definition.prune === undefined) checkOnlyMetadata(fields)
    else
      checkFieldLabels(fields, new Set(['metadata.name', ...(info.namespaced ? ['metadata.namespace'] : []), ...own]))
  }
  return new Selection({
    namespace: text.namespace,
    name: text.name,
    labels,
    fields,
    fieldsOf: behavior.selectableFields ?? NO_FIELDS,
  })
}

/** Source: apimachinery runtime.DefaultMetaV1FieldSelectorConversion, which most kinds have. */
function checkOnlyMetadata(fields: FieldSelector): void {
  for (const { field } of fields.requirements) {
    if (field === 'metadata.name' || field === 'metadata.namespace') continue
    const known = 'only "metadata.name", "metadata.namespace"'
    throw badRequest(`${JSON.stringify(field)} is not a known field selector: ${known}`)
  }
}

/** Throws BadRequest for what is no whole number; less than 0 means as little as 0. */
export function readCount(query: Query, name: string): number {
  const text = query.get(name)
  if (text === null || text === '') return 0
  const value = /^[-+]?[0-9]+$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(value)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  if (!Number.isSafeInteger(value)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`)
  }
  return Math.max(0, value)
}

/**
 * Checks what of a list's or watch's options must fit together. Throws Invalid.
 * Source: apimachinery pkg/apis/meta/internalversion/validation, v0.37.
 */
export function checkListOptions(query: Query, { watch }: { readonly watch: boolean }): void {
  const errors = watch ? checkWatchMatch(query) : checkListMatch(query)
  if (errors.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors)
}

const matchPath = new FieldPath('resourceVersionMatch')

function checkListMatch(query: Query): FieldError[] {
  const match = query.get('resourceVersionMatch') ?? ''
  const resourceVersion = query.get('resourceVersion') ?? ''
  const errors: FieldError[] = []
  const refuse = (why: string): unknown => errors.push(forbiddenField(matchPath, why))
  if (match !== '') {
    if (resourceVersion === '') refuse('resourceVersionMatch is forbidden unless resourceVersion is provided')
    if ((query.get('continue') ?? '') !== '') refuse('resourceVersionMatch is forbidden when continue is provided')
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      errors.push(notSupported(matchPath, match, ['Exact', 'NotOlderThan', '']))
    }
    if (match === 'Exact' && resourceVersion === '0') {
      refuse('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    }
  }
  if (query.get('sendInitialEvents') !== null) {
    errors.push(forbiddenField(new FieldPath('sendInitialEvents'), 'sendInitialEvents is forbidden for list'))
  }
  return errors
}

function checkWatchMatch(query: Query): FieldError[] {
  const match = query.get('resourceVersionMatch') ?? ''
  const errors: FieldError[] = []
  const refuse = (why: string): unknown => errors.push(forbiddenField(matchPath, why))
  const sendsInitialEvents = query.get('sendInitialEvents') !== null
  if (sendsInitialEvents && match !== 'NotOlderThan') {
    refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  }
  if (match === '') return errors
  if (!sendsInitialEvents) refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
  if (match !== 'NotOlderThan') errors.push(notSupported(matchPath, match, ['NotOlderThan']))
  if ((query.get('continue') ?? '') !== '') refuse('resourceVersionMatch is forbidden when continue is provided')
  return errors
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
