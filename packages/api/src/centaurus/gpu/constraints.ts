/** Which devices a pod will have, by its annotations. */
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import type { GpuDevice } from './inventory.ts'
import type { GpuPriority } from './request.ts'

/**
 * How devices of a node are chosen: `binpack` those that are used most, `spread` those that are used least, `topology` those of a
 * container near each other.
 */
export type GpuPolicy = 'binpack' | 'spread' | 'topology'

export interface GpuConstraints {
  /** One of these, if there are any. */
  readonly models: readonly string[]
  readonly modelsExcluded: readonly string[]
  readonly uuids: readonly string[]
  readonly uuidsExcluded: readonly string[]
  readonly policy: GpuPolicy
  /** Of containers that do not say it themselves. */
  readonly priority?: GpuPriority | undefined
}

export interface SaidGpuConstraints {
  /** What is wrong says nothing. */
  readonly constraints: GpuConstraints
  readonly errors: readonly FieldError[]
}

/** Names of each, the one that counts first; those of HAMi are what its users know. Source: HAMi v2.10 pkg/device/nvidia/device.go. */
const NAMES = {
  models: ['centaurus.io/gpu-models', 'nvidia.com/use-gputype'],
  modelsExcluded: ['centaurus.io/gpu-models-excluded', 'nvidia.com/nouse-gputype'],
  uuids: ['centaurus.io/gpu-uuids', 'nvidia.com/use-gpuuuid'],
  uuidsExcluded: ['centaurus.io/gpu-uuids-excluded', 'nvidia.com/nouse-gpuuuid'],
  policy: ['centaurus.io/gpu-policy', 'hami.io/gpu-scheduler-policy'],
  priority: ['centaurus.io/gpu-priority'],
} as const
const LISTS = ['models', 'modelsExcluded', 'uuids', 'uuidsExcluded'] as const
const POLICIES: ReadonlyMap<string, GpuPolicy> = new Map([
  ['binpack', 'binpack'],
  ['spread', 'spread'],
  ['topology', 'topology'],
  ['topology-aware', 'topology'],
  ['numa', 'topology'],
])

/** Every annotation of a pod that says which devices it will have. */
export const GPU_CONSTRAINT_ANNOTATIONS: readonly string[] = Object.values(NAMES).flat()

/** What a pod without annotations will have. */
export const ANY_GPU: GpuConstraints = Object.freeze({
  models: [],
  modelsExcluded: [],
  uuids: [],
  uuidsExcluded: [],
  policy: 'binpack',
})

const NOTHING: SaidGpuConstraints = Object.freeze({ constraints: ANY_GPU, errors: Object.freeze([]) })
const PATH = new FieldPath('metadata').child('annotations')

/** Reads the annotations of a pod. Costs a look-up a name when there are none. */
export function readGpuConstraints(annotations: Readonly<Record<string, string>> | undefined): SaidGpuConstraints {
  if (annotations === undefined || !GPU_CONSTRAINT_ANNOTATIONS.some((name) => annotations[name] !== undefined))
    return NOTHING
  const errors: FieldError[] = []
  const read = <T>(field: keyof typeof NAMES, parse: (text: string) => T | Wrong): T | undefined => {
    const said: { readonly name: string; readonly text: string; readonly value: T }[] = []
    for (const name of NAMES[field]) {
      const text = annotations[name]
      if (text === undefined) continue
      const value = parse(text)
      if (value instanceof Wrong) errors.push(invalid(PATH.key(name), text, value.rule))
      else said.push({ name, text, value })
    }
    const [first, second] = said
    if (second !== undefined && JSON.stringify(first!.value) !== JSON.stringify(second.value)) {
      const detail = `says something else than ${first!.name} ("${first!.text}"): leave one of them out`
      errors.push(invalid(PATH.key(second.name), second.text, detail))
    }
    return first?.value
  }
  const [models, modelsExcluded, uuids, uuidsExcluded] = LISTS.map((field) => read(field, parseList) ?? [])
  const policy = read('policy', parsePolicy) ?? 'binpack'
  const priority = read('priority', parsePriority)
  const lists = { models: models!, modelsExcluded: modelsExcluded!, uuids: uuids!, uuidsExcluded: uuidsExcluded! }
  return { constraints: { ...lists, policy, ...(priority === undefined ? {} : { priority }) }, errors }
}

/**
 * Whether a GPU is of a model, whole words of it, whichever letters are large: `A10` and `nvidia-a10` are words of "NVIDIA A10", and
 * neither is one of "NVIDIA A100-SXM4-40GB".
 */
export function isGpuModel(model: string, wanted: string): boolean {
  return `-${wordsOf(model)}-`.includes(`-${wordsOf(wanted)}-`)
}

/** Why a device is not one that a pod will have; undefined: it is. */
export function whyNotGpu(
  { models, modelsExcluded, uuids, uuidsExcluded }: GpuConstraints,
  { model, uuid }: Pick<GpuDevice, 'model' | 'uuid'>,
): 'model' | 'uuid' | undefined {
  const isAny = (list: readonly string[]): boolean => list.some((wanted) => isGpuModel(model, wanted))
  if ((models.length > 0 && !isAny(models)) || isAny(modelsExcluded)) return 'model'
  if ((uuids.length > 0 && !uuids.includes(uuid)) || uuidsExcluded.includes(uuid)) return 'uuid'
  return undefined
}

/** A rule that a value breaks. */
class Wrong {
  readonly rule: string

  constructor(rule: string) {
    this.rule = rule
  }
}

function wordsOf(model: string): string {
  return model
    .toLowerCase()
    .split(/[^a-z0-9.]+/)
    .filter((word) => word !== '')
    .join('-')
}

function parseList(text: string): string[] | Wrong {
  const items = text.split(',').map((item) => item.trim())
  const isRight = items.every((item) => wordsOf(item) !== '')
  return isRight ? items : new Wrong('must be a list separated by commas, such as "A100,H100", without empty places')
}

/** HAMi takes several, separated by commas: here all must be names of one. */
function parsePolicy(text: string): GpuPolicy | Wrong {
  const policies = new Set(text.split(',').map((word) => POLICIES.get(word.trim())))
  const [policy] = policies
  return policies.size === 1 && policy !== undefined ? policy : new Wrong('must be binpack, spread or topology')
}

function parsePriority(text: string): GpuPriority | Wrong {
  return text === '0' ? 0 : text === '1' ? 1 : new Wrong('must be 0 (high) or 1 (low)')
}
