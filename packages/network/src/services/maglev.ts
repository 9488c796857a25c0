/**
 * Maglev's table: which backend has a flow, by the flow's hash. Every host that knows the same backends computes the same table, each backend has as many
 * slots as any other give or take one, and a backend that comes or goes moves few of the others' slots.
 * Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
 */

/** Primes just below powers of two, so that tables fill the chunks they are stored in. */
const TABLE_SIZES: readonly number[] = [61, 251, 1021, 4093, 16_381, 65_521, 262_139]
/** A table has at least so many slots a backend: no backend gets more than 1/25 above its share. With over 10,485 backends there are fewer slots for each. */
const SLOTS_PER_BACKEND = 25

/** Slots for `count` backends: a prime, or 1 for one backend, or 0. */
export function maglevSize(count: number): number {
  if (count <= 1) return count
  return TABLE_SIZES.find((size) => size >= count * SLOTS_PER_BACKEND) ?? TABLE_SIZES.at(-1) ?? 0
}

/**
 * For each of `size` slots the index of a backend in `names`. `size` is a prime (or 1) and at least the number of names; names are unique. Their order does
 * not count. About `size × ln(size)` steps.
 */
export function fillMaglev(names: readonly string[], size: number): Uint32Array {
  const table = new Uint32Array(size)
  if (names.length <= 1) return table
  const order = names.map((_, index) => index).sort((a, b) => ((names[a] ?? '') < (names[b] ?? '') ? -1 : 1))
  const places = order.map((index) => hashName(names[index] ?? '', OFFSET_SEED) % size)
  const steps = order.map((index) => (hashName(names[index] ?? '', STEP_SEED) % (size - 1)) + 1)
  const isTaken = new Uint8Array(size)
  for (let filled = 0; filled < size;) {
    for (let turn = 0; turn < order.length && filled < size; turn++, filled++) {
      const step = steps[turn] ?? 1
      let place = places[turn] ?? 0
      while (isTaken[place] === 1) place = (place + step) % size // ends: a step below a prime size visits every slot, and one is free
      isTaken[place] = 1
      table[place] = order[turn] ?? 0
      places[turn] = (place + step) % size
    }
  }
  return table
}

const OFFSET_SEED = 0x811c9dc5
const STEP_SEED = 0x01234567

/** FNV-1a, mixed by MurmurHash3's finalizer since modulo of FNV alone is uneven for names that differ in their last characters. */
function hashName(name: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
