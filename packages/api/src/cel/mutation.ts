import { isRecord } from '../meta/values.ts'
import { compileAdmissionCel, type AdmissionCelOptions } from './admission.ts'
import type { CompiledCel } from './program.ts'
import { rewriteTypedLiterals } from './typed-literals.ts'

/** Compiles an expression that makes an object, or a list of JSON patches. */
export function compileMutationCel(expression: string, options: AdmissionCelOptions): CompiledCel {
  try {
    return compileAdmissionCel(rewriteTypedLiterals(expression), undefined, { ...options, patches: true })
  } catch (error) {
    return { error: (error as Error).message }
  }
}

/** The JSON that a value of an expression stands for. Throws for what has none. */
export function fromCelValue(value: unknown): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return (value as unknown[]).map(fromCelValue)
  if (value instanceof Map)
    return fromEntries([...(value as Map<unknown, unknown>)].map(([key, of]) => [String(key), of]))
  if (isRecord(value) && isPlain(value)) return fromEntries(Object.entries(value))
  throw new Error(`the expression makes a ${describeType(value)}, which can't be written as JSON`)
}

function fromEntries(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries.map(([key, value]) => [key, fromCelValue(value)]))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function describeType(value: unknown): string {
  return typeof value === 'object' ? (value?.constructor?.name ?? 'value') : typeof value
}
