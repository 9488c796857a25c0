/** Randomness as a dependency. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [0, bound). */
  integer(bound: number): number
}

/** Numbers fetched from the platform at once. */
const POOL = new Uint32Array(1024)
let used = POOL.length

/**
 * The platform's cryptographic generator, for production: from the names that a user was given nobody can work out how many others were given
 * some in between, as with `Math.random`.
 */
export const systemRandom: Random = {
  next: nextSecure,
  integer: (bound) => Math.floor(nextSecure() * bound),
}

function nextSecure(): number {
  if (used === POOL.length) {
    crypto.getRandomValues(POOL)
    used = 0
  }
  const high = POOL[used++]! >>> 5
  const low = POOL[used++]! >>> 6
  return (high * 2 ** 26 + low) / 2 ** 53
}

/** The same sequence for the same seed. Source: mulberry32, a 32-bit generator in the public domain. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { next, integer: (bound) => Math.floor(next() * bound) }
}
