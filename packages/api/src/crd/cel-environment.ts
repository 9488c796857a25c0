import { Environment } from '@marcbachmann/cel-js'
import { isRecord } from '../meta/values.ts'
import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  quantityOfUnits,
  subtractQuantities,
  type Quantity,
} from '../quantity/quantity.ts'
import { isCidr, isIPv4, isIPv6 } from './formats.ts'
import { matchesPattern, compilePattern } from './patterns.ts'

/** Bounds of one expression, at compile time. */
const LIMITS = { maxAstNodes: 10_000, maxDepth: 200, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 32 }
/** Items that `findAll` returns when it is not told how many. */
const FIND_MAX = 10_000

/** A quantity inside of an expression. */
class CelQuantity {
  readonly quantity: Quantity

  constructor(quantity: Quantity) {
    this.quantity = quantity
  }
}

let shared: Environment | undefined

/**
 * The environment in which rules of custom resources run: `self` and `oldSelf`, the standard library and macros, optionals, and of
 * Kubernetes' library: lists, regex, quantity, and checks of IP and CIDR texts. Not there: `url`, `ip` and `cidr` objects, `format`
 * objects, `semver`, the authorizer and two-variable comprehensions; a rule that uses them does not compile.
 */
export function celEnvironment(): Environment {
  shared ??= newCelEnvironment().registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn')
  return shared
}

/** The same without any variable. */
export function newCelEnvironment(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    limits: LIMITS,
  })
  registerListFunctions(environment)
  registerTextFunctions(environment)
  registerQuantityFunctions(environment)
  return environment
}

type Comparable = bigint | number | string | boolean

function registerListFunctions(environment: Environment): void {
  environment.registerFunction('list.sum(): dyn', (list: (bigint | number)[]) => sum(list))
  environment.registerFunction('list.min(): dyn', (list: Comparable[]) => extreme(list, (a, b) => a < b))
  environment.registerFunction('list.max(): dyn', (list: Comparable[]) => extreme(list, (a, b) => a > b))
  environment.registerFunction('list.isSorted(): bool', (list: Comparable[]) =>
    list.every((item, i) => i === 0 || list[i - 1]! <= item),
  )
  environment.registerFunction('list.indexOf(dyn): int', (list: unknown[], item: unknown) => BigInt(list.indexOf(item)))
  environment.registerFunction('list.lastIndexOf(dyn): int', (list: unknown[], item: unknown) =>
    BigInt(list.lastIndexOf(item)),
  )
}

function sum(list: readonly (bigint | number)[]): bigint | number {
  if (list.every((item) => typeof item === 'bigint')) return list.reduce((total, item) => total + item, 0n)
  return list.reduce<number>((total, item) => total + Number(item), 0)
}

function extreme(list: readonly Comparable[], isBetter: (a: Comparable, b: Comparable) => boolean): Comparable {
  const [first, ...rest] = list
  if (first === undefined) throw new Error('min or max called on empty list')
  return rest.reduce((best, item) => (isBetter(item, best) ? item : best), first)
}

function registerTextFunctions(environment: Environment): void {
  environment.registerFunction('string.find(string): string', (text: string, pattern: string) =>
    matchesPattern(text, pattern) ? (compilePattern(pattern).exec(text)?.[0] ?? '') : '',
  )
  environment.registerFunction('string.findAll(string): list<string>', (text: string, pattern: string) =>
    findAll(text, pattern, FIND_MAX),
  )
  environment.registerFunction(
    'string.findAll(string, int): list<string>',
    (text: string, pattern: string, count: bigint) => findAll(text, pattern, count < 0n ? FIND_MAX : Number(count)),
  )
  environment.registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
    text.replaceAll(from, () => to),
  )
  environment.registerFunction('string.charAt(int): string', (text: string, at: bigint) => [...text][Number(at)] ?? '')
  environment.registerFunction('string.format(list): string', (template: string, values: unknown[]) =>
    format(template, values),
  )
  environment.registerFunction('isIP(string): bool', (text: string) => isIPv4(text) || isIPv6(text))
  environment.registerFunction('isCIDR(string): bool', (text: string) => isCidr(text))
  environment.registerFunction('isURL(string): bool', (text: string) => URL.canParse(text) || text.startsWith('/'))
}

function findAll(text: string, pattern: string, count: number): string[] {
  if (!matchesPattern(text, pattern)) return []
  const compiled = compilePattern(pattern)
  const found: string[] = []
  for (const match of text.matchAll(new RegExp(compiled.source, `${compiled.flags}g`))) {
    if (found.length >= count) break
    found.push(match[0])
  }
  return found
}

/** `%s` and `%d` of the strings extension; other verbs are refused. */
function format(template: string, values: readonly unknown[]): string {
  let next = 0
  return template.replaceAll(/%(.)/g, (whole, verb: string) => {
    if (verb === '%') return '%'
    if (verb !== 's' && verb !== 'd') throw new Error(`unrecognized formatting clause "${whole}"`)
    if (next >= values.length) throw new Error(`index ${next} out of range`)
    const value = values[next++]
    return Array.isArray(value) || isRecord(value)
      ? JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? Number(item) : item))
      : String(value)
  })
}

function registerQuantityFunctions(environment: Environment): void {
  const type = 'kubernetes.Quantity'
  environment.registerType(type, CelQuantity)
  environment.registerFunction(`quantity(string): ${type}`, (text: string) => new CelQuantity(parseQuantity(text)))
  environment.registerFunction('isQuantity(string): bool', (text: string) => {
    try {
      parseQuantity(text)
      return true
    } catch {
      return false
    }
  })
  const compare = (a: CelQuantity, b: CelQuantity): number => compareQuantities(a.quantity, b.quantity)
  environment.registerFunction(
    `${type}.isGreaterThan(${type}): bool`,
    (a: CelQuantity, b: CelQuantity) => compare(a, b) > 0,
  )
  environment.registerFunction(
    `${type}.isLessThan(${type}): bool`,
    (a: CelQuantity, b: CelQuantity) => compare(a, b) < 0,
  )
  environment.registerFunction(`${type}.compareTo(${type}): int`, (a: CelQuantity, b: CelQuantity) =>
    BigInt(compare(a, b)),
  )
  environment.registerFunction(`${type}.asInteger(): int`, (a: CelQuantity) => a.quantity.nanos / 1_000_000_000n)
  environment.registerFunction(
    `${type}.isInteger(): bool`,
    (a: CelQuantity) => a.quantity.nanos % 1_000_000_000n === 0n,
  )
  environment.registerFunction(
    `${type}.asApproximateFloat(): double`,
    (a: CelQuantity) => Number(a.quantity.nanos) / 1e9,
  )
  environment.registerFunction(`${type}.sign(): int`, (a: CelQuantity) =>
    BigInt(compareQuantities(a.quantity, quantityOfUnits(0))),
  )
  const add = (a: CelQuantity, b: CelQuantity): CelQuantity => new CelQuantity(addQuantities(a.quantity, b.quantity))
  const subtract = (a: CelQuantity, b: CelQuantity): CelQuantity =>
    new CelQuantity(subtractQuantities(a.quantity, b.quantity))
  environment.registerFunction(`${type}.add(${type}): ${type}`, add)
  environment.registerFunction(`${type}.sub(${type}): ${type}`, subtract)
  environment.registerFunction(`${type}.add(int): ${type}`, (a: CelQuantity, b: bigint) =>
    add(a, new CelQuantity(quantityOfUnits(Number(b)))),
  )
  environment.registerFunction(`${type}.sub(int): ${type}`, (a: CelQuantity, b: bigint) =>
    subtract(a, new CelQuantity(quantityOfUnits(Number(b)))),
  )
}
