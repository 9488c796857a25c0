/** Which whole GPUs go well together, for a kubelet that asks. Pure. */

export interface DeviceChoice {
  /** As in an inventory; undefined: nothing is known, and the first will do. */
  readonly links: readonly (readonly number[])[] | undefined
  /** Places in `links`, ascending. */
  readonly available: readonly number[]
  /** Some of them, which must be among those that are chosen. */
  readonly mustInclude: readonly number[]
  readonly size: number
}

/** Sets that are compared one by one; 8 of 16 GPUs are 12,870. Where there are more, the choice is good and need not be the best. */
const SETS_MAX = 20_000

/**
 * The devices whose links to each other sum up to most; of several such sets that with the least links to devices that are left, so that
 * what is left is near to each other; then the first ones. At most `size` and no more than there are.
 */
export function chooseDevices(choice: DeviceChoice): number[] {
  const { links, available, mustInclude, size } = choice
  const rest = available.filter((device) => !mustInclude.includes(device))
  const missing = Math.min(size - mustInclude.length, rest.length)
  if (missing <= 0) return mustInclude.slice(0, size)
  if (links === undefined) return ascending([...mustInclude, ...rest.slice(0, missing)])
  const linkOf: LinkOf = (one, other) => links[one]?.[other] ?? 0
  const rate = (set: readonly number[]): Rating => rateSet(set, available, linkOf)
  const sets =
    countSets(rest.length, missing) <= SETS_MAX
      ? setsOf(rest, missing, mustInclude)
      : rest.map((first) => growSet([...mustInclude, first], { available, size, linkOf })).values()
  return ascending(bestOf(sets, rate))
}

type LinkOf = (one: number, other: number) => number

/** More is better. */
type Rating = readonly [within: number, towardsOthers: number]

function rateSet(set: readonly number[], available: readonly number[], linkOf: LinkOf): Rating {
  const inSet = new Set(set)
  let within = 0
  let across = 0
  for (const one of set) {
    for (const other of available) {
      if (!inSet.has(other)) across += linkOf(one, other)
      else if (one < other) within += linkOf(one, other)
    }
  }
  return [within, -across]
}

function isBetter(one: Rating, other: Rating): boolean {
  return one[0] === other[0] ? one[1] > other[1] : one[0] > other[0]
}

/** The first of the best. */
function bestOf(sets: Iterable<number[]>, rate: (set: readonly number[]) => Rating): number[] {
  let best: { readonly set: number[]; readonly rating: Rating } | undefined
  for (const set of sets) {
    const rating = rate(set)
    if (best === undefined || isBetter(rating, best.rating)) best = { set, rating }
  }
  return best?.set ?? []
}

interface Growth {
  readonly available: readonly number[]
  readonly size: number
  readonly linkOf: LinkOf
}

/** Adds always the device with the most links to the set; of several that with the least to others. */
function growSet(set: readonly number[], { available, size, linkOf }: Growth): number[] {
  const grown = [...set]
  const sumTo = (device: number, others: readonly number[]): number =>
    others.reduce((sum, other) => sum + linkOf(device, other), 0)
  while (grown.length < size) {
    const left = available.filter((device) => !grown.includes(device)).map((device) => [device])
    grown.push(...bestOf(left, ([device]) => [sumTo(device!, grown), -sumTo(device!, available)]))
  }
  return grown
}

/** All sets of `size` of the devices, in lexical order, each after those that are in it anyway. */
function* setsOf(devices: readonly number[], size: number, others: readonly number[]): Generator<number[], void> {
  if (size === 0) yield [...others]
  else
    for (let i = 0; i + size <= devices.length; i++)
      yield* setsOf(devices.slice(i + 1), size - 1, [...others, devices[i]!])
}

function countSets(of: number, size: number): number {
  let count = 1
  for (let i = 0; i < size; i++) count = (count * (of - i)) / (i + 1)
  return count
}

function ascending(devices: readonly number[]): number[] {
  return devices.toSorted((a, b) => a - b)
}
