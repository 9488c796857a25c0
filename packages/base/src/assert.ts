/** Guards an invariant of our own code; never for user input. Throws `AssertionError` when `condition` is false. */
export function assert(condition: boolean, why: string): asserts condition {
  if (!condition) throw new AssertionError(why)
}

/** A broken invariant: a bug of ours, so nobody should catch it but the top of the process. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Ends a `switch` over a union: the compiler refuses a case that was forgotten. */
export function assertNever(value: never): never {
  throw new AssertionError(`Unexpected value: ${JSON.stringify(value)}`)
}
