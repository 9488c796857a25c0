import type { ASTNode, Environment, ParseResult } from '@marcbachmann/cel-js'
import { isRecord } from '../meta/values.ts'

/**
 * Steps that all expressions about one object may take together. The library counts none, so before an expression runs we bound it from
 * above: its nodes times the longest collection once for every level of nested macros. What could take more is refused with upstream's
 * words. Strings that become lists (`split`, `findAll`) count with their characters.
 */
export const CEL_STEPS_MAX = 10_000_000
/** Source: apiserver pkg/apis/cel config MaxEvaluatedMessageExpressionSizeBytes. */
export const CEL_MESSAGE_BYTES_MAX = 5 * 1024
/** What is said when {@link CEL_STEPS_MAX} would not be enough. Source: apiserver pkg/admission/plugin/cel. */
export const OUT_OF_BUDGET =
  'validation failed due to running out of cost budget, no further validation rules will be run'

const MACROS = new Set(['all', 'exists', 'exists_one', 'existsOne', 'map', 'filter', 'sortBy'])
const LIST_MAKERS = new Set(['split', 'findAll'])
/** These walk lists once, or make one of two. */
const WALKERS = new Set(['==', '!=', 'in', 'call', '+'])

/** An expression ready to run, and what bounds its cost. */
export interface CelProgram {
  readonly run: (context: Readonly<Record<string, unknown>>) => unknown
  readonly nodes: number
  /** Levels of macros inside of macros. */
  readonly depth: number
  readonly makesLists: boolean
  /** `cel.bind` inside of `cel.bind`: each may make what the next doubles. */
  readonly binds: number
  /** Names of variables that it uses. */
  readonly names: ReadonlySet<string>
}

export type CompiledCel =
  | { readonly program: CelProgram; readonly error?: undefined }
  /** `got`: the type that it has, where that is what is wrong. */
  | { readonly program?: undefined; readonly error: string; readonly got?: string | undefined }

/**
 * Compiles and checks an expression whose result is one of `wanted`, such as `bool`, or anything; `error` tells why it can't be.
 */
export function compileCel(
  environment: Environment,
  expression: string,
  wanted: readonly string[] | undefined,
): CompiledCel {
  let parsed: ParseResult
  try {
    parsed = environment.parse(expression)
    const result = parsed.check()
    if (!result.valid) return { error: `compilation failed: ${firstLine(result.error)}` }
    if (wanted !== undefined && result.type !== undefined && result.type !== 'dyn' && !wanted.includes(result.type)) {
      return { error: `must evaluate to a ${wanted.join(' or ')}`, got: result.type }
    }
  } catch (error) {
    return { error: `compilation failed: ${firstLine(error)}` }
  }
  const shape: Shape = { nodes: 0, depth: 0, makesLists: false, binds: 0, names: new Set() }
  measure(parsed.ast, { depth: 0, binds: 0 }, shape)
  return { program: { run: (context) => parsed(context) as unknown, ...shape } }
}

/** An upper bound of the steps of one run. `characters` is asked for only when texts can become lists. */
export function celStepsOf(
  { nodes, depth, makesLists, binds }: CelProgram,
  { longest, characters }: { readonly longest: number; readonly characters: () => number },
): number {
  const length = makesLists ? Math.max(longest, characters()) : longest
  return nodes * (Math.max(1, length) * nodes ** binds) ** depth
}

/** What a failed run says, in one line. */
export function celErrorText(error: unknown): string {
  return firstLine(error).replace(/^No such key/, 'no such key')
}

/** Items of the longest list or map in a value: what one comprehension may walk. */
export function longestCollection(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const members = membersOf(value)
  let longest = members.length
  for (const member of members) longest = Math.max(longest, longestCollection(member))
  return longest
}

function membersOf(value: object): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[]
  if (value instanceof Map) return [...(value as Map<unknown, unknown>).values()]
  return isRecord(value) ? Object.values(value) : []
}

interface Shape {
  nodes: number
  depth: number
  makesLists: boolean
  binds: number
  readonly names: Set<string>
}

interface Level {
  readonly depth: number
  readonly binds: number
}

function measure(node: ASTNode, level: Level, shape: Shape): void {
  shape.nodes++
  shape.depth = Math.max(shape.depth, level.depth)
  shape.binds = Math.max(shape.binds, level.binds)
  if (node.op === 'id' && typeof node.args === 'string') shape.names.add(node.args)
  let inner = level
  if (node.op === 'rcall') {
    const [name] = node.args
    if (LIST_MAKERS.has(name)) shape.makesLists = true
    if (MACROS.has(name)) inner = { ...level, depth: level.depth + 1 }
    if (name === 'bind') inner = { ...level, binds: level.binds + 1 }
  }
  const isMacro = inner.depth > level.depth
  if (WALKERS.has(node.op) || (node.op === 'rcall' && !isMacro)) shape.depth = Math.max(shape.depth, level.depth + 1)
  forEachNode(node.args, (child, isReceiver) => measure(child, isReceiver ? level : inner, shape))
}

/** Operands of a node; in a call on a value, the first node is that value. */
function forEachNode(args: unknown, visitNode: (node: ASTNode, isReceiver: boolean) => void): void {
  if (isNode(args)) return visitNode(args, false)
  if (!Array.isArray(args)) return
  let isFirst = true
  for (const item of args as unknown[]) {
    if (isNode(item)) {
      visitNode(item, isFirst)
      isFirst = false
    } else if (Array.isArray(item)) forEachList(item as unknown[], visitNode)
  }
}

function forEachList(items: readonly unknown[], visitNode: (node: ASTNode, isReceiver: boolean) => void): void {
  for (const item of items) {
    if (isNode(item)) visitNode(item, false)
    else if (Array.isArray(item)) forEachList(item as unknown[], visitNode)
  }
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!
}
