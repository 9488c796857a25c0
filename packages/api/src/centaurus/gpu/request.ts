/** What containers ask for, by all the names that it can have. */
import type { Container } from '../../generated/types/core/v1.ts'
import { parseQuantity } from '../../quantity/quantity.ts'
import { forbiddenField, invalid, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { GPU_COMPUTE_MAX, GPU_MEMORY_MIB_MAX } from './device-id.ts'
import {
  ALNAIR_COMPUTE,
  ALNAIR_MEMORY,
  GPU,
  GPU_COMPUTE,
  GPU_MEMORY,
  GPU_SHARE_RESOURCES,
  HAMI_COMPUTE,
  HAMI_MEMORY,
  HAMI_MEMORY_PERCENT,
  HAMI_PRIORITY,
} from './names.ts'

/**
 * GPUs of one container. Whole ones have neither memory nor compute; of a share exactly one of `memoryMiB` and `memoryPercent` is there.
 * Half of the memory and all of the compute is a share; all of both is a whole GPU.
 */
export interface GpuRequest {
  /** Different devices, 1 or more. */
  readonly count: number
  /** Of each. */
  readonly memoryMiB?: number | undefined
  /** Of each, 1 to 100, of whatever memory it has. */
  readonly memoryPercent?: number | undefined
  /** Percent of each, 1 to 100; absent of a share: what nobody has reserved. */
  readonly compute?: number | undefined
  /** 0 high, 1 low; absent: what the pod says, else high. */
  readonly priority?: GpuPriority | undefined
}

/** 0 goes before 1 where both use one device. */
export type GpuPriority = 0 | 1

/** What was asked for, unless it means nothing; then why. */
export interface SaidGpuRequest {
  /** Undefined: no GPUs, or `errors`. */
  readonly request: GpuRequest | undefined
  readonly errors: readonly FieldError[]
}

/** A stock plugin that shares GPUs by time says that there are more than there are. */
const GPU_COUNT_MAX = 4_096

type Amounts = ReadonlyMap<string, number>

const NAMES: readonly string[] = [GPU, ...GPU_SHARE_RESOURCES]
const NOTHING: SaidGpuRequest = Object.freeze({ request: undefined, errors: Object.freeze([]) })
/** The names of one thing, with the factor to MiB or percent. */
const MEMORY_NAMES = [[GPU_MEMORY, 1] as const, [HAMI_MEMORY, 1] as const, [ALNAIR_MEMORY, 1024] as const]
const COMPUTE_NAMES = [[GPU_COMPUTE, 1] as const, [HAMI_COMPUTE, 1] as const, [ALNAIR_COMPUTE, 1] as const]

/** Whether nobody else may have any of the devices. */
export function isWholeRequest({ memoryMiB, memoryPercent, compute }: GpuRequest): boolean {
  return memoryMiB === undefined && memoryPercent === undefined && compute === undefined
}

/** Whether a container says anything of GPUs. Costs a look at each name of its limits and requests. */
export function mentionsGpu({ resources }: Readonly<Container>): boolean {
  for (const list of [resources?.limits, resources?.requests]) {
    for (const name in list) if (name === GPU || GPU_SHARE_RESOURCES.has(name)) return true
  }
  return false
}

/** Reads what a container asks for; `path` is that of the container. Limits count, as those of extended resources must equal the requests. */
export function gpuRequestOf(container: Readonly<Container>, path: FieldPath): SaidGpuRequest {
  if (!mentionsGpu(container)) return NOTHING
  const errors: FieldError[] = []
  const fields = path.child('resources', 'limits')
  const amounts = readAmounts(container, { errors, fields })
  const memory = oneOf(MEMORY_NAMES, amounts, { errors, fields })
  const compute = oneOf(COMPUTE_NAMES, amounts, { errors, fields })
  checkMixtures(amounts, { errors, fields })
  if (errors.length > 0) return { request: undefined, errors }
  return { request: assemble(amounts, memory, compute), errors }
}

interface Report {
  readonly errors: FieldError[]
  readonly fields: FieldPath
}

/** The amounts that are not zero, and a priority, which may be. */
function readAmounts({ resources }: Readonly<Container>, { errors, fields }: Report): Amounts {
  const amounts = new Map<string, number>()
  for (const name of NAMES) {
    const text = resources?.limits?.[name] ?? resources?.requests?.[name]
    if (text === undefined) continue
    const { max, rule } = ruleOf(name)
    const amount = wholeNumber(text)
    if (amount === undefined || amount > max) errors.push(invalid(fields.key(name), text, rule))
    else if (amount > 0 || name === HAMI_PRIORITY || name === GPU) amounts.set(name, amount)
  }
  return amounts
}

function wholeNumber(text: string): number | undefined {
  try {
    const { nanos } = parseQuantity(text)
    const units = Number(nanos / 1_000_000_000n)
    return nanos >= 0n && nanos % 1_000_000_000n === 0n && Number.isSafeInteger(units) ? units : undefined
  } catch {
    return undefined
  }
}

function ruleOf(name: string): { readonly max: number; readonly rule: string } {
  const memory = `such as "10240" for 10 GiB of each GPU; ${GPU} says how many GPUs`
  switch (name) {
    case GPU:
      return {
        max: GPU_COUNT_MAX,
        rule: `must be a whole number of GPUs, at most ${GPU_COUNT_MAX}; ask for parts of one by ${GPU_MEMORY} and ${GPU_COMPUTE}`,
      }
    case GPU_MEMORY:
    case HAMI_MEMORY:
      return {
        max: GPU_MEMORY_MIB_MAX,
        rule: `must be a whole number of MiB, at most ${GPU_MEMORY_MIB_MAX}, ${memory}`,
      }
    case ALNAIR_MEMORY:
      return {
        max: GPU_MEMORY_MIB_MAX / 1024,
        rule: 'must be a whole number of GiB, such as "10" for 10 GiB of each GPU',
      }
    case HAMI_PRIORITY:
      return { max: 1, rule: 'must be 0 (high) or 1 (low)' }
    default:
      return {
        max: GPU_COMPUTE_MAX,
        rule: `must be a whole number of percent of each GPU, at most 100; ${GPU} says how many GPUs`,
      }
  }
}

/** Several names of one thing must say the same. */
function oneOf(
  names: readonly (readonly [name: string, factor: number])[],
  amounts: Amounts,
  { errors, fields }: Report,
): number | undefined {
  const said = names.flatMap(([name, factor]) => {
    const amount = amounts.get(name)
    return amount === undefined ? [] : [{ name, amount: amount * factor }]
  })
  const [first, ...others] = said
  for (const { name, amount } of others) {
    if (amount === first!.amount) continue
    const detail = `says something else than ${first!.name} (${amounts.get(first!.name)}): leave one of them out`
    errors.push(invalid(fields.key(name), amounts.get(name), detail))
  }
  return first?.amount
}

function checkMixtures(amounts: Amounts, { errors, fields }: Report): void {
  const shares = [...amounts.keys()].filter((name) => name !== GPU && name !== HAMI_PRIORITY)
  const inMiB = MEMORY_NAMES.map(([name]) => name).find((name) => amounts.has(name))
  if (inMiB !== undefined && amounts.has(HAMI_MEMORY_PERCENT)) {
    const detail = `may not be set beside ${inMiB}: ask for memory as MiB or as a percentage, not as both`
    errors.push(forbiddenField(fields.key(HAMI_MEMORY_PERCENT), detail))
  }
  if (amounts.get(GPU) === 0 && shares.length > 0) {
    const detail = `must be 1 or more beside ${shares[0]}, or be left out, which is 1: it is the number of GPUs to take that much of`
    errors.push(invalid(fields.key(GPU), 0, detail))
  }
  if (amounts.has(HAMI_PRIORITY) && shares.length === 0 && !amounts.has(GPU)) {
    const detail = `may not be set in a container without GPUs: ask for ${GPU} or ${GPU_MEMORY}, or leave it out`
    errors.push(forbiddenField(fields.key(HAMI_PRIORITY), detail))
  }
}

function assemble(amounts: Amounts, memoryMiB?: number, compute?: number): GpuRequest | undefined {
  const percent = amounts.get(HAMI_MEMORY_PERCENT) ?? (memoryMiB === undefined ? compute : undefined)
  const isShare = memoryMiB !== undefined || percent !== undefined
  const count = amounts.get(GPU) ?? (isShare ? 1 : 0)
  if (count === 0) return undefined
  const priority = amounts.get(HAMI_PRIORITY) as GpuPriority | undefined
  const said = priority === undefined ? {} : { priority }
  if (!isShare || (percent === 100 && compute === 100)) return { count, ...said }
  return {
    count,
    ...(memoryMiB === undefined ? { memoryPercent: percent } : { memoryMiB }),
    ...(compute === undefined ? {} : { compute }),
    ...said,
  }
}
