/**
 * What must be known between the first round of what mutates and the second.
 * Source: apiserver pkg/admission/plugin/webhook/mutating/reinvocationcontext.go, v0.37.
 */
export interface Rounds {
  /** Who wants to be asked again if others change what they saw, and was not since. */
  previous: Set<string>
  /** Those of them that others have changed something for. */
  readonly again: Set<string>
  isSecond: boolean
}

export function newRounds(): Rounds {
  return { previous: new Set(), again: new Set(), isSecond: false }
}

/** Who was asked before, and minds, is asked again. */
export function noteChange(rounds: Rounds): void {
  for (const id of rounds.previous) rounds.again.add(id)
  rounds.previous = new Set()
}
