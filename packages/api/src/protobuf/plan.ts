import { readDefinition, type FieldFacts, type ValueCode } from '../schema/facts.ts'

/** How one struct is written and read. Built on first use from the field tables, and kept. */
export interface Plan {
  readonly name: string
  /** By ascending number, as upstream writes them. */
  readonly fields: readonly PlanField[]
  /** Field of each number; sparse. */
  readonly byNumber: readonly (PlanField | undefined)[]
  /** Fields that JSON has even when the bytes have not, since upstream's Go field is a value that JSON never omits. */
  readonly alwaysInJson: readonly PlanField[]
}

export interface PlanField {
  /** Name in JSON; empty when the struct's fields stand beside those of its parent. */
  readonly json: string
  /** For messages, such as `io.k8s.api.core.v1.PodSpec.containers`. */
  readonly path: string
  /** Field number and wire type as they stand before the value. */
  readonly tag: number
  readonly container: '' | '[' | '{'
  readonly code: ValueCode
  /** Plan of the struct, or of the values of the list or map; for code `$` only. */
  readonly plan: () => Plan
  /** Written only when set; a field that is not optional is written with its zero value. */
  readonly optional: boolean
  /**
   * Whether JSON has it `always` (zero value or null when the bytes have not), `unlessZero`, or `whenSet`. Those that are inlined
   * count as always there.
   */
  readonly inJson: 'always' | 'unlessZero' | 'whenSet'
}

const WIRE_VARINT = 0
const WIRE_FIXED64 = 1
const WIRE_BYTES = 2

/** Codes whose Go type is a struct. */
const STRUCT_CODES = new Set<ValueCode>(['$', 't', 'T', 'u', 'q', 'n', 'x', 'A', 'B', 'C'])

const plans = new Map<string, Plan>()

/** Plan of a definition such as `io.k8s.api.core.v1.Pod`; undefined when there is no such definition. */
export function planOf(name: string): Plan | undefined {
  const known = plans.get(name)
  if (known !== undefined) return known
  const facts = readDefinition(name)
  if (facts === undefined) return undefined
  const fields = facts.fields
    .filter((field) => field.number !== 0)
    .map((field) => toPlanField(name, field))
    .sort((a, b) => a.tag - b.tag)
  const byNumber: (PlanField | undefined)[] = []
  for (const field of fields) byNumber[field.tag >>> 3] = field
  const plan: Plan = { name, fields, byNumber, alwaysInJson: fields.filter(({ inJson }) => inJson === 'always') }
  plans.set(name, plan)
  return plan
}

function toPlanField(struct: string, field: FieldFacts): PlanField {
  const { json, number, container, code, ref, pointer, omitEmpty, omitZero } = field
  const optional = container !== '' || pointer || code === 'y' || code === 'v'
  // Go leaves a struct in JSON whatever `omitempty` says; only `omitzero` or a nil pointer takes it out.
  const isGoStruct = !optional && STRUCT_CODES.has(code)
  return {
    json,
    path: `${struct}.${json}`,
    tag: (number << 3) | wireType(field),
    container,
    code,
    plan: lazyPlan(ref),
    optional,
    inJson: json !== '' && (omitZero || (omitEmpty && !isGoStruct)) ? (pointer ? 'whenSet' : 'unlessZero') : 'always',
  }
}

function lazyPlan(ref: string): () => Plan {
  let plan: Plan | undefined
  return () => (plan ??= planOf(ref)!)
}

function wireType({ container, code }: FieldFacts): number {
  if (container === '{') return WIRE_BYTES
  if (code === 'i' || code === 'l' || code === 'b') return WIRE_VARINT
  return code === 'd' ? WIRE_FIXED64 : WIRE_BYTES
}
