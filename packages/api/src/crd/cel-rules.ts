import { Optional } from '@marcbachmann/cel-js'
import {
  CEL_MESSAGE_BYTES_MAX,
  CEL_STEPS_MAX,
  celErrorText,
  celStepsOf,
  compileCel,
  longestCollection,
  OUT_OF_BUDGET,
  type CelProgram,
} from '../cel/program.ts'
import type { JSONSchemaProps, ValidationRule } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'
import { duplicate, FieldPath, forbiddenField, invalid, required, type FieldError } from '../status/field-error.ts'
import { celEnvironment } from './cel-environment.ts'
import { toCelValue } from './cel-values.ts'
import { correlateItems } from './validate-value.ts'

/** A rule ready to run. */
interface CompiledRule {
  readonly rule: ValidationRule
  readonly program: CelProgram | undefined
  readonly message: CelProgram | undefined
  readonly error: string | undefined
  readonly usesOldSelf: boolean
}

const compiledRules = new WeakMap<JSONSchemaProps, readonly CompiledRule[]>()
const rulesBelow = new WeakMap<JSONSchemaProps, boolean>()

export interface CelRuleInput {
  readonly object: Readonly<Record<string, unknown>>
  /** The stored object, on update. */
  readonly old?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Runs the `x-kubernetes-validations` of a schema. Rules are compiled once a schema; a schema without rules costs one look-up.
 * Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go.
 */
export function validateCelRules({ object, old }: CelRuleInput, schema: JSONSchemaProps): FieldError[] {
  const run: Run = { errors: [], stepsLeft: CEL_STEPS_MAX }
  visit(run, schema, {
    value: onlyNames(object),
    old: old === undefined ? undefined : onlyNames(old),
    path: new FieldPath(),
  })
  return run.errors
}

/** Problems of a rule that show without an object; empty when it compiles. */
export function compileProblems(rule: ValidationRule): { rule?: string; message?: string; usesOldSelf: boolean } {
  const compiled = compileRule(rule)
  const message = rule.messageExpression === undefined ? undefined : compile(rule.messageExpression, 'string').error
  return {
    ...(compiled.error === undefined ? {} : { rule: compiled.error }),
    ...(message === undefined ? {} : { message }),
    usesOldSelf: compiled.usesOldSelf,
  }
}

interface Run {
  readonly errors: FieldError[]
  stepsLeft: number
}

interface Place {
  readonly value: unknown
  readonly old: unknown
  readonly path: FieldPath
}

/** Of metadata, rules see the names only. */
function onlyNames(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  const { name, generateName } = metadata
  return {
    ...object,
    metadata: { ...(name === undefined ? {} : { name }), ...(generateName === undefined ? {} : { generateName }) },
  }
}

function visit(run: Run, schema: JSONSchemaProps, place: Place): void {
  if (place.value === null || place.value === undefined || run.stepsLeft < 0 || !hasRules(schema)) return
  runRules(run, schema, place)
  if (Array.isArray(place.value)) {
    const items = schema.items
    if (items === undefined || Array.isArray(items)) return
    const oldItem = correlateItems(place.old, schema)
    for (const [i, item] of (place.value as unknown[]).entries())
      visit(run, items, { value: item, old: oldItem(item), path: place.path.index(i) })
  } else if (isRecord(place.value)) visitMembers(run, schema, place)
}

function visitMembers(run: Run, schema: JSONSchemaProps, place: Place): void {
  const value = place.value as Record<string, unknown>
  const isAtomic = schema['x-kubernetes-map-type'] === 'atomic'
  const old = isRecord(place.old) && !isAtomic ? place.old : {}
  const additional = schema.additionalProperties
  for (const key of Object.keys(value)) {
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    const child = { value: value[key], old: Object.hasOwn(old, key) ? old[key] : undefined }
    if (property !== undefined) visit(run, property, { ...child, path: place.path.child(key) })
    else if (isRecord(additional)) visit(run, additional as JSONSchemaProps, { ...child, path: place.path.key(key) })
  }
}

function runRules(run: Run, schema: JSONSchemaProps, place: Place): void {
  const rules = rulesOf(schema)
  if (rules.length === 0) return
  const rooted = withRootTypes(schema, place.path)
  const self = toCelValue(place.value, rooted)
  const oldSelf = place.old === undefined || place.old === null ? undefined : toCelValue(place.old, rooted)
  const longest = longestCollection(place.value)
  for (const compiled of rules) {
    if (run.stepsLeft < 0) return
    runRule(run, compiled, { schema, place, self, oldSelf, longest })
  }
}

/** Rules at the root also see what every object has. */
function withRootTypes(schema: JSONSchemaProps, path: FieldPath): JSONSchemaProps {
  if (path.toString() !== '<nil>') return schema
  const metadata = { type: 'object', properties: { name: { type: 'string' }, generateName: { type: 'string' } } }
  return {
    ...schema,
    properties: { ...schema.properties, apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata },
  }
}

interface RuleInput {
  readonly schema: JSONSchemaProps
  readonly place: Place
  readonly self: unknown
  readonly oldSelf: unknown
  readonly longest: number
}

function runRule(run: Run, compiled: CompiledRule, input: RuleInput): void {
  const { rule, program } = compiled
  const { path } = input.place
  const type = input.schema.type ?? ''
  if (program === undefined) {
    run.errors.push(invalid(path, type, `rule compile error: ${compiled.error ?? ''}`))
    return
  }
  const isOptional = rule.optionalOldSelf === true
  if (compiled.usesOldSelf && input.oldSelf === undefined && !isOptional) return
  run.stepsLeft -= celStepsOf(program, {
    longest: input.longest,
    characters: () => JSON.stringify(input.place.value).length,
  })
  if (run.stepsLeft < 0) {
    run.errors.push(invalid(path, type, OUT_OF_BUDGET))
    return
  }
  const oldSelf = isOptional
    ? input.oldSelf === undefined
      ? Optional.none()
      : Optional.of(input.oldSelf)
    : input.oldSelf
  const context = { self: input.self, oldSelf }
  try {
    if (program.run(context) === true) return
  } catch (error) {
    const text = celErrorText(error)
    const shown = describeRule(rule)
    const detail = text.startsWith('no such overload')
      ? `'${text}': call arguments did not match a supported operator, function or macro signature for rule: ${shown}`
      : `${text} evaluating rule: ${shown}`
    run.errors.push(invalid(path, type, detail))
    return
  }
  const at = (rule.fieldPath ?? '') === '' ? path : path.child(normalizeFieldPath(rule.fieldPath!))
  run.errors.push(failure(at, rule, { value: input.place.value, detail: messageOf(compiled, context) }))
}

function failure(
  path: FieldPath,
  rule: ValidationRule,
  { value, detail }: { value: unknown; detail: string },
): FieldError {
  const isWhole = typeof value === 'object' && value !== null
  switch (rule.reason) {
    case 'FieldValueRequired':
      return required(path, detail)
    case 'FieldValueForbidden':
      return forbiddenField(path, detail)
    case 'FieldValueDuplicate': {
      const error = duplicate(path, value)
      return { ...error, message: isWhole ? `Duplicate value: ${detail}` : `${error.message}: ${detail}` }
    }
    default:
      // Objects and lists are not printed.
      return isWhole
        ? { type: 'FieldValueInvalid', field: String(path), message: `Invalid value: ${detail}` }
        : invalid(path, value, detail)
  }
}

function messageOf({ rule, message }: CompiledRule, context: Record<string, unknown>): string {
  const fallback = (rule.message ?? '') === '' ? `failed rule: ${rule.rule.trim()}` : rule.message!.trim()
  if (message === undefined) return fallback
  try {
    const text = String(message.run(context)).trim()
    return text === '' || text.includes('\n') || text.length > CEL_MESSAGE_BYTES_MAX ? fallback : text
  } catch {
    return fallback // upstream too falls back when the expression fails
  }
}

function describeRule(rule: ValidationRule): string {
  return (rule.message ?? '') === '' ? rule.rule.trim() : rule.message!.trim()
}

/** `.spec.x` → `spec.x`; `['a']` → `a` in brackets, as error paths write keys. */
function normalizeFieldPath(path: string): string {
  return path
    .replace(/^\./, '')
    .replaceAll(/\['([^']*)'\]/g, (_whole, key: string) => `.${key}`)
    .replace(/^\./, '')
}

function hasRules(schema: JSONSchemaProps): boolean {
  const known = rulesBelow.get(schema)
  if (known !== undefined) return known
  const additional = schema.additionalProperties
  const items = schema.items
  const found =
    (schema['x-kubernetes-validations']?.length ?? 0) > 0 ||
    Object.values(schema.properties ?? {}).some(hasRules) ||
    (isRecord(additional) && hasRules(additional as JSONSchemaProps)) ||
    (items !== undefined && !Array.isArray(items) && hasRules(items))
  rulesBelow.set(schema, found)
  return found
}

function rulesOf(schema: JSONSchemaProps): readonly CompiledRule[] {
  const known = compiledRules.get(schema)
  if (known !== undefined) return known
  const rules = (schema['x-kubernetes-validations'] ?? []).map(compileRule)
  compiledRules.set(schema, rules)
  return rules
}

function compileRule(rule: ValidationRule): CompiledRule {
  const { program, error } = compile(rule.rule, 'bool')
  const message = (rule.messageExpression ?? '') === '' ? undefined : compile(rule.messageExpression!, 'string').program
  return { rule, program, message, error, usesOldSelf: program?.names.has('oldSelf') === true }
}

function compile(expression: string, wanted: string): ReturnType<typeof compileCel> {
  return compileCel(celEnvironment(), expression, [wanted])
}
