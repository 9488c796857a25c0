/** Resolves when it is the caller's turn: to the time until which it may go on by itself; if that is over, to one step. */
export type TakeTurn = () => Promise<number>

/** What one caller may have of the time that a turn takes: on a busy server turns are long and few. */
const SHARE = 0.1

export interface TurnsDeps {
  readonly nextTurn: (turn: () => void) => void
  readonly nowMs: () => number
}

/**
 * Lets one caller go on in each turn of the event loop, in the order in which they ask: what many do in pieces then takes no longer from others in one
 * turn than one does. It is work-conserving, since a turn with nothing else to do is over at once.
 */
export function createTurns({ nextTurn, nowMs }: TurnsDeps): TakeTurn {
  const waiting: ((untilMs: number) => void)[] = []
  let askedMs = 0
  const ask = (): void => {
    askedMs = nowMs()
    nextTurn(serve)
  }
  const serve = (): void => {
    const now = nowMs()
    waiting.shift()?.(now + (now - askedMs) * SHARE)
    if (waiting.length > 0) ask()
  }
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length === 1) ask()
    })
}
