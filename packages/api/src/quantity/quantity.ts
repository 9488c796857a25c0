/**
 * Amounts of resources: exact decimal numbers with a suffix. Every quantity is an integer of billionths, since upstream rounds
 * what is finer than that away from zero; so arithmetic is exact and needs no scale.
 * Source: apimachinery pkg/api/resource (quantity.go, suffix.go), v0.37.
 */

/** How a quantity is written: `12Mi`, `12M`, `12e6`. Arithmetic keeps the left operand's. */
export type QuantityFormat = 'BinarySI' | 'DecimalSI' | 'DecimalExponent'

/** Parsed quantity. Immutable, so that it can be shared by a cache. */
export interface Quantity {
  /** Billionths, exact. */
  readonly nanos: bigint
  readonly format: QuantityFormat
  /** Text as the API server stores it. */
  readonly text: string
  /** Whole units, rounded away from zero. Exact to 2^53; past it the nearest number. */
  readonly value: number
  /** Thousandths, rounded away from zero. */
  readonly milliValue: number
}

/** Longer texts are refused: no amount needs them and the cost of exact arithmetic grows with the square. */
export const QUANTITY_LENGTH_MAX = 256
/** Powers of ten past this are refused, for the same reason. */
export const QUANTITY_EXPONENT_MAX = 256
/** Parsed texts kept; when full the cache starts over. About 200 bytes each. */
const CACHE_ENTRIES_MAX = 4096

const NANOS_PER_UNIT = 1_000_000_000n
const NANOS_PER_MILLI = 1_000_000n
const BINARY_MAX = (2n ** 63n - 1n) * NANOS_PER_UNIT
const SHAPE = /^([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/
const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
const WRONG_SUFFIX = "unable to parse quantity's suffix"

const DECIMAL_SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['n', -9],
  ['u', -6],
  ['m', -3],
  ['', 0],
  ['k', 3],
  ['M', 6],
  ['G', 9],
  ['T', 12],
  ['P', 15],
  ['E', 18],
])
const BINARY_SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['Ki', 10],
  ['Mi', 20],
  ['Gi', 30],
  ['Ti', 40],
  ['Pi', 50],
  ['Ei', 60],
])
const DECIMAL_SUFFIX_OF: ReadonlyMap<number, string> = new Map(
  [...DECIMAL_SUFFIXES].map(([text, power]) => [power, text]),
)
const BINARY_SUFFIX_LIST = ['', ...BINARY_SUFFIXES.keys()]

const cache = new Map<string, Quantity>()

/**
 * Reads a quantity, such as `100m`, `1.5Gi` or `12e6`. Results are shared: a text that was seen before costs one map look-up.
 * Throws `SyntaxError` with upstream's words.
 */
export function parseQuantity(text: string): Quantity {
  const known = cache.get(text)
  if (known !== undefined) return known
  const parsed = readQuantity(text)
  if (cache.size >= CACHE_ENTRIES_MAX) cache.clear()
  cache.set(text, parsed)
  return parsed
}

/** Makes a quantity of billionths. */
export function createQuantity(nanos: bigint, format: QuantityFormat = 'DecimalSI'): Quantity {
  return new ExactQuantity(nanos, format, undefined)
}

/** A whole number of units; `format` says how it prints. */
export function quantityOfUnits(units: number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return createQuantity(BigInt(units) * NANOS_PER_UNIT, format)
}

/** A whole number of thousandths, as for cpu. */
export function quantityOfMillis(millis: number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return createQuantity(BigInt(millis) * NANOS_PER_MILLI, format)
}

/** Canonical text, as the API server stores it. */
export function formatQuantity(quantity: Quantity): string {
  return quantity.text
}

/** Negative, zero or positive, as `a - b`. */
export function compareQuantities(a: Quantity, b: Quantity): number {
  if (a.nanos === b.nanos) return 0
  return a.nanos < b.nanos ? -1 : 1
}

/** Exact sum, in the format of `a` (of `b` when `a` is zero). */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return createQuantity(a.nanos + b.nanos, resultFormat(a, b))
}

/** Exact difference, in the format of `a` (of `b` when `a` is zero). */
export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return createQuantity(a.nanos - b.nanos, resultFormat(a, b))
}

/** Whole units of a quantity's text, rounded away from zero; for memory, storage, counts. Throws as {@link parseQuantity}. */
export function quantityValue(text: string): number {
  return parseQuantity(text).value
}

/** Thousandths of a quantity's text, rounded away from zero; for cpu. Throws as {@link parseQuantity}. */
export function quantityMilliValue(text: string): number {
  return parseQuantity(text).milliValue
}

class ExactQuantity implements Quantity {
  readonly nanos: bigint
  readonly format: QuantityFormat
  readonly value: number
  readonly milliValue: number
  #text: string | undefined

  constructor(nanos: bigint, format: QuantityFormat, text: string | undefined) {
    this.nanos = nanos
    this.format = format
    this.value = Number(divideAwayFromZero(nanos, NANOS_PER_UNIT))
    this.milliValue = Number(divideAwayFromZero(nanos, NANOS_PER_MILLI))
    this.#text = text
  }

  get text(): string {
    this.#text ??= canonicalText(this.nanos, this.format)
    return this.#text
  }

  toJSON(): string {
    return this.text
  }
}

function readQuantity(text: string): Quantity {
  if (text === '' || text.length > QUANTITY_LENGTH_MAX) throw new SyntaxError(WRONG_FORMAT)
  const match = SHAPE.exec(text)
  if (match === null) throw new SyntaxError(WRONG_FORMAT)
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match
  const scale = readSuffix(suffix)
  const digits = BigInt(whole + fraction) // no digits at all, as in `m`, mean zero; so it is upstream
  const factor = scale.base === 2 ? 1n << BigInt(scale.power) : 1n
  const power = (scale.base === 10 ? scale.power : 0) - fraction.length + 9
  let nanos = shiftDecimal(digits * factor, power)
  if (scale.format === 'BinarySI' && nanos > BINARY_MAX) nanos = BINARY_MAX
  const isTiny = scale.format === 'BinarySI' && nanos > 0n && nanos < NANOS_PER_UNIT
  if (sign === '-') nanos = -nanos
  const kept = keepsText({ whole, fraction, nanos, ...scale }) ? text : undefined
  return new ExactQuantity(nanos, isTiny ? 'DecimalSI' : scale.format, kept)
}

interface Suffix {
  readonly base: 2 | 10
  readonly power: number
  readonly format: QuantityFormat
}

function readSuffix(suffix: string): Suffix {
  const decimal = DECIMAL_SUFFIXES.get(suffix)
  if (decimal !== undefined) return { base: 10, power: decimal, format: 'DecimalSI' }
  const binary = BINARY_SUFFIXES.get(suffix)
  if (binary !== undefined) return { base: 2, power: binary, format: 'BinarySI' }
  if (!/^[eE][+-]?[0-9]+$/.test(suffix)) throw new SyntaxError(WRONG_SUFFIX)
  const power = Number(suffix.slice(1))
  if (Math.abs(power) > QUANTITY_EXPONENT_MAX) throw new SyntaxError(WRONG_SUFFIX)
  return { base: 10, power, format: 'DecimalExponent' }
}

/**
 * Upstream stores some texts as they came: those its fast path takes for canonical, which is why `1.500` stays and `1.50` becomes
 * `1500m`. The digits of an int64 (18) bound the fast path.
 */
function keepsText(
  parts: Suffix & { readonly whole: string; readonly fraction: string; readonly nanos: bigint },
): boolean {
  const whole = parts.whole.replace(/^0+/, '') || '0'
  if (parts.nanos === 0n) return false
  if (parts.format === 'BinarySI') {
    const precision = 15 - whole.length - Math.trunc((parts.power * 3) / 10) - 1
    return parts.fraction === '' && precision >= 0 && (BigInt(whole) & 7n) !== 0n
  }
  const scale = parts.power - parts.fraction.length
  const digits = whole + parts.fraction
  if (digits.length > 18 || scale < -9 || scale % 3 !== 0) return false
  return !digits.endsWith('000') && !digits.startsWith('0')
}

/** `digits` × 10^power, rounded away from zero. */
function shiftDecimal(digits: bigint, power: number): bigint {
  if (power >= 0) return digits * 10n ** BigInt(power)
  return divideAwayFromZero(digits, 10n ** BigInt(-power))
}

function divideAwayFromZero(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  const remainder = dividend % divisor
  if (remainder === 0n) return quotient
  return remainder > 0n ? quotient + 1n : quotient - 1n
}

/** Upstream: the left operand's format, unless that is zero. */
function resultFormat(a: Quantity, b: Quantity): QuantityFormat {
  return a.nanos === 0n ? b.format : a.format
}

function canonicalText(nanos: bigint, format: QuantityFormat): string {
  if (nanos === 0n) return '0'
  const units = nanos / NANOS_PER_UNIT
  const isWhole = nanos % NANOS_PER_UNIT === 0n
  const isSmall = units > -1024n && units < 1024n
  if (format === 'BinarySI' && isWhole && !isSmall) return binaryText(units)
  return decimalText(nanos, format === 'DecimalExponent')
}

function binaryText(units: bigint): string {
  let mantissa = units
  let step = 0
  while (step < BINARY_SUFFIX_LIST.length - 1 && mantissa % 1024n === 0n) {
    mantissa /= 1024n
    step++
  }
  return `${mantissa}${BINARY_SUFFIX_LIST[step]!}`
}

function decimalText(nanos: bigint, asExponent: boolean): string {
  let mantissa = nanos
  let power = -9
  // Past exa there is no suffix; upstream prints none at all there and so changes the value, which we do not copy.
  const powerMax = asExponent ? Infinity : 18
  while (power < powerMax && mantissa % 1000n === 0n) {
    mantissa /= 1000n
    power += 3
  }
  if (!asExponent) return `${mantissa}${DECIMAL_SUFFIX_OF.get(power)!}`
  return power === 0 ? String(mantissa) : `${mantissa}e${power}`
}
