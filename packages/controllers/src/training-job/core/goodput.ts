/**
 * How fast a training job is at a number of workers, learned from what it reports. A step takes
 *
 *     seconds(w, B) = fixed + perSample · B / w + (w > 1 ? joining + perWorker · (w − 2) : 0)
 *
 * for a batch of B samples over w workers: what does not shrink, computing, and exchanging gradients. All four are ≥ 0. Source: the step model of
 * Pollux (OSDI '21), without its overlap of computing and exchanging, which a few observations can't tell from less exchange.
 */
export interface StepModel {
  /** Seconds of each step, whatever the workers. */
  readonly fixed: number
  /** Seconds of one sample on one worker. */
  readonly perSample: number
  /** Seconds that it takes two workers to exchange. */
  readonly joining: number
  /** Seconds more for each further worker. */
  readonly perWorker: number
}

/** Steps of one size that a job has reported. */
export interface StepObservation {
  readonly workers: number
  /** Samples of one step, over all workers. */
  readonly batch: number
  readonly secondsPerStep: number
  /** How many steps it stands for, or whatever else makes it count more; > 0. */
  readonly weight: number
}

/** What becomes of the batch when workers come and go. */
export type BatchRule =
  /** It stays: each worker gets fewer samples. */
  | { readonly kind: 'constant'; readonly batch: number }
  /** Each worker keeps its samples. */
  | { readonly kind: 'perWorker'; readonly samples: number }

export interface Efficiency {
  /** The batch at which a sample counts whole. */
  readonly baseBatch: number
  /** Gradient noise scale in samples; greater: large batches waste less. Source: McCandlish et al. 2018. */
  readonly noiseScale: number
}

const TERMS = 4
/** What a further term must gain, as mean of squared relative errors: of models that err alike, the plainest. */
const TERM_COST = 1e-8
/** Keeps equations apart that observations hardly do. */
const RIDGE = 1e-9

/** Seconds of one step at a size, by the model. */
export function secondsPerStep(
  model: StepModel,
  { workers, batch }: Pick<StepObservation, 'workers' | 'batch'>,
): number {
  const row = termsOf(workers, batch)
  return row[0]! * model.fixed + row[1]! * model.perSample + row[2]! * model.joining + row[3]! * model.perWorker
}

/** Samples of one step at a number of workers. */
export function batchAt(rule: BatchRule, workers: number): number {
  return rule.kind === 'constant' ? rule.batch : rule.samples * workers
}

/** How much a sample of a batch is worth beside one of the base batch: 1 where nothing is known. Source: Pollux, equation 7. */
export function efficiencyOf(batch: number, known: Efficiency | undefined): number {
  if (known === undefined || batch <= known.baseBatch) return 1
  return (known.noiseScale + known.baseBatch) / (known.noiseScale + batch)
}

/** Useful samples a second at a number of workers. */
export function goodput(
  model: StepModel,
  workers: number,
  { rule, efficiency }: { readonly rule: BatchRule; readonly efficiency?: Efficiency | undefined },
): number {
  const batch = batchAt(rule, workers)
  return (batch * efficiencyOf(batch, efficiency)) / secondsPerStep(model, { workers, batch })
}

/**
 * The model that errs least, by relative error, among those with no negative term that compute; undefined without observations. What observations cannot tell apart counts
 * as computing, which more workers share: a job is taken to scale until it is seen not to. Cost: 8 systems of at most 4 equations.
 */
export function fitStepModel(observations: readonly StepObservation[]): StepModel | undefined {
  const seen = observations.filter(({ secondsPerStep: seconds, weight }) => seconds > 0 && weight > 0)
  if (seen.length === 0) return undefined
  const total = seen.reduce((sum, { weight }) => sum + weight, 0)
  let best: { readonly model: number[]; readonly error: number } | undefined
  // Every step computes: without that term a model might say that a size takes no time.
  for (let set = 1; set < 1 << TERMS; set += 2) {
    const model = solve(seen, set)
    if (model?.every((term) => term >= 0) !== true || !(model[1]! > 0)) continue
    const error = errorOf(seen, model) + TERM_COST * total * bitsOf(set)
    if (best === undefined || error < best.error) best = { model, error }
  }
  if (best === undefined) return undefined
  const [fixed, perSample, joining, perWorker] = best.model
  return { fixed: fixed!, perSample: perSample!, joining: joining!, perWorker: perWorker! }
}

/** Bits of a set stand for terms in this order, so that sets with computing come before those with less that is shared. */
const ORDER = [1, 0, 2, 3] as const

function bitsOf(set: number): number {
  return ORDER.filter((_, bit) => (set & (1 << bit)) !== 0).length
}

function termsOf(workers: number, batch: number): number[] {
  return [1, batch / workers, workers > 1 ? 1 : 0, workers > 1 ? workers - 2 : 0]
}

function errorOf(seen: readonly StepObservation[], model: readonly number[]): number {
  let error = 0
  for (const { workers, batch, secondsPerStep: seconds, weight } of seen) {
    const predicted = termsOf(workers, batch).reduce((sum, value, term) => sum + value * model[term]!, 0)
    error += weight * ((predicted - seconds) / seconds) ** 2
  }
  return error
}

/** Weighted least squares of relative errors over some of the terms, others 0; undefined: they can't be told apart. */
function solve(seen: readonly StepObservation[], set: number): number[] | undefined {
  const chosen = ORDER.filter((_, bit) => (set & (1 << bit)) !== 0)
  const size = chosen.length
  const matrix = Array.from({ length: size }, () => Array.from({ length: size + 1 }, () => 0))
  for (const { workers, batch, secondsPerStep: seconds, weight } of seen) {
    const row = termsOf(workers, batch).map((value) => value / seconds)
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) matrix[i]![j]! += weight * row[chosen[i]!]! * row[chosen[j]!]!
      matrix[i]![size]! += weight * row[chosen[i]!]!
    }
  }
  for (let i = 0; i < size; i++) matrix[i]![i]! *= 1 + RIDGE
  const values = eliminate(matrix)
  if (values === undefined) return undefined
  const model = Array.from({ length: TERMS }, () => 0)
  for (const [i, term] of chosen.entries()) model[term] = values[i]!
  return model
}

/** Gauss' elimination of a square system with its right side in the last column. */
function eliminate(matrix: number[][]): number[] | undefined {
  const size = matrix.length
  for (let column = 0; column < size; column++) {
    let pivot = column
    for (let row = column + 1; row < size; row++)
      if (Math.abs(matrix[row]![column]!) > Math.abs(matrix[pivot]![column]!)) pivot = row
    const head = matrix[pivot]!
    if (Math.abs(head[column]!) < 1e-12) return undefined
    matrix[pivot] = matrix[column]!
    matrix[column] = head
    for (let row = 0; row < size; row++) {
      if (row === column) continue
      const factor = matrix[row]![column]! / head[column]!
      for (let i = column; i <= size; i++) matrix[row]![i]! -= factor * head[i]!
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!)
}
