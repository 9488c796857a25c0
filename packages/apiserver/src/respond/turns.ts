/** Resolves when it is the caller's turn. */
export type TakeTurn = () => Promise<void>

/**
 * Lets one caller go on in each turn of the event loop, in the order in which they ask: what many do in pieces then takes no longer from others in one
 * turn than one piece does. It is work-conserving, since a turn with nothing else to do is over at once.
 */
export function createTurns(nextTurn: (turn: () => void) => void = setImmediate): TakeTurn {
  const waiting: (() => void)[] = []
  const serve = (): void => {
    waiting.shift()?.()
    if (waiting.length > 0) nextTurn(serve)
  }
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length === 1) nextTurn(serve)
    })
}
