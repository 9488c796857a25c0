import type { FieldSelector, LabelSelector } from '@centaurus/api'
import type { CacheEvent, EventType } from './cache-event.ts'
import type { CachedObject, FieldsOf } from './cached-object.ts'

export interface SelectionOptions {
  /** `''`: all namespaces. */
  readonly namespace: string
  /** Only the object of this name; `''`: all. */
  readonly name?: string | undefined
  readonly labels?: LabelSelector | undefined
  readonly fields?: FieldSelector | undefined
  /** Gives the fields that `fields` may name beside `metadata.name` and `metadata.namespace`. */
  readonly fieldsOf: FieldsOf
}

/** Which objects of a resource a list or a watch is about. Immutable. */
export class Selection {
  readonly namespace: string
  /** The one name that can match, or `''`. */
  readonly name: string
  /** The one value of `spec.nodeName` that can match, or undefined. */
  readonly nodeName: string | undefined
  readonly fieldsOf: FieldsOf
  readonly #labels: LabelSelector | undefined
  readonly #fields: FieldSelector | undefined

  constructor(options: SelectionOptions) {
    const fields = options.fields?.isEmpty === false ? options.fields : undefined
    this.fieldsOf = options.fieldsOf
    this.#labels = options.labels?.isEmpty === false ? options.labels : undefined
    this.#fields = fields
    this.namespace = options.namespace !== '' ? options.namespace : (fields?.requiredValue('metadata.namespace') ?? '')
    this.name =
      options.name !== undefined && options.name !== '' ? options.name : (fields?.requiredValue('metadata.name') ?? '')
    this.nodeName = fields?.requiredValue('spec.nodeName')
  }

  /** True when neither labels, fields nor a name restrict it. */
  get isWholeNamespace(): boolean {
    return this.#labels === undefined && this.#fields === undefined && this.name === ''
  }

  /** Prefix of the keys that can match. */
  get keyPrefix(): string {
    return this.namespace === '' ? '' : `${this.namespace}/`
  }

  matches(object: CachedObject): boolean {
    if (this.namespace !== '' && object.namespace !== this.namespace) return false
    if (this.name !== '' && object.name !== this.name) return false
    if (this.#labels !== undefined && !this.#labels.matches(object.labels)) return false
    return this.#fields === undefined || this.#matchesFields(this.#fields, object)
  }

  /** What the event means to a watcher of this selection: objects may enter and leave it. Undefined: nothing. */
  translate(event: CacheEvent): { type: EventType; object: CachedObject } | undefined {
    const had = event.previous !== undefined && this.matches(event.previous)
    const has = event.type !== 'DELETED' && this.matches(event.object)
    if (has) return { type: had ? 'MODIFIED' : 'ADDED', object: event.object }
    if (!had) return undefined
    return { type: 'DELETED', object: event.type === 'DELETED' ? event.object : event.left() }
  }

  #matchesFields(fields: FieldSelector, object: CachedObject): boolean {
    for (const { field, operator, value } of fields.requirements) {
      if ((readField(object, field, this.fieldsOf) === value) !== (operator === '=')) return false
    }
    return true
  }
}

function readField(object: CachedObject, field: string, fieldsOf: FieldsOf): string {
  if (field === 'metadata.name') return object.name
  if (field === 'metadata.namespace') return object.namespace
  return object.fields(fieldsOf)[field] ?? ''
}
