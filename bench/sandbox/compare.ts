import { benchResult, type BenchResult, type BenchTarget } from '../harness/bench.ts'

/** Figures of one candidate, by name. */
export type Figures = Readonly<Record<string, number>>

/** Each figure's samples, or why the candidate could not do what is measured: it is not asked again after its first failure. */
export type Outcome = { readonly samples: readonly Figures[] } | { readonly failure: string }

export interface Candidate {
  readonly name: string
  measure(): Promise<Figures>
}

/** Measures candidates in turn, `rounds` times each. A failure is a result: nothing is tried again. */
export async function measureInTurn(
  rounds: number,
  candidates: readonly Candidate[],
  log: (message: string) => void,
): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>(candidates.map(({ name }) => [name, { samples: [] }]))
  for (let round = 0; round < rounds; round++) {
    for (const { name, measure } of candidates) {
      const before = outcomes.get(name)!
      if ('failure' in before) continue
      const outcome = await tryOnce(measure)
      if ('failure' in outcome) log(`  ${name}, round ${round + 1} of ${rounds}: ${outcome.failure}`)
      const failed = 'failure' in outcome && { failure: `round ${round + 1} of ${rounds}: ${outcome.failure}` }
      outcomes.set(name, failed || { samples: [...before.samples, ...(outcome as { samples: Figures[] }).samples] })
    }
  }
  return outcomes
}

async function tryOnce(measure: () => Promise<Figures>): Promise<Outcome> {
  try {
    return { samples: [await measure()] }
  } catch (error) {
    return { failure: (error as Error).message }
  }
}

export interface ComparedFigure {
  readonly metric: string
  readonly unit: string
  /** The figure's name in the samples. */
  readonly figure: string
  /** Makes one number of the samples. */
  readonly reduce: (samples: readonly number[]) => number
  /** What quark's figure should be against each peer. */
  readonly targets?: Readonly<Record<string, BenchTarget>>
}

/** One result for each peer of quark. */
export function compareOutcomes(outcomes: ReadonlyMap<string, Outcome>, compared: ComparedFigure): BenchResult[] {
  const { metric, unit, figure, reduce, targets } = compared
  const valueOf = (name: string): number | undefined => {
    const outcome = outcomes.get(name)!
    return 'failure' in outcome ? undefined : reduce(outcome.samples.map((each) => each[figure] ?? Number.NaN))
  }
  const failureOf = (name: string): string[] => {
    const outcome = outcomes.get(name)!
    return 'failure' in outcome ? [`${name}: ${outcome.failure}`] : []
  }
  const value = valueOf('quark')
  const peers = [...outcomes.keys()].filter((name) => name !== 'quark')
  return peers.map((peer) => {
    const peerValue = valueOf(peer)
    if (value !== undefined && peerValue === 0) return { ...benchResult({ metric, unit, value }), peer, peerValue }
    if (value !== undefined && peerValue !== undefined)
      return benchResult({ metric, unit, value, peer: { name: peer, value: peerValue }, target: targets?.[peer] })
    const failure = [...failureOf('quark'), ...failureOf(peer)].join('; ')
    return { metric, unit, value: value ?? null, peer, peerValue: peerValue ?? null, failure }
  })
}
