import type { NodeGpus } from './node-gpus.ts'

/**
 * Devices that are near each other: the weakest link counts first, then all of them; then the set that leaves those that stay behind the best links
 * among themselves. Grows a set from each device, so that it costs count × devices³ and may miss the best of sets that begin badly; with eight devices
 * and links as real machines have them it finds the best.
 */
export function chooseNear(
  node: NodeGpus,
  candidates: readonly number[],
  { count }: { readonly count: number },
): readonly number[] {
  if (candidates.length === count || node.isFlat) return candidates.slice(0, count)
  let best: NearSet | undefined
  for (const first of candidates) {
    const set = growFrom(node, candidates, { first, count })
    if (best === undefined || compareSets(set, best) < 0) best = set
  }
  return best!.members.toSorted((a, b) => a - b)
}

/** The weakest link among devices; that of the best ones where there is nothing to compare. */
export function weakestLink(node: NodeGpus, members: readonly number[]): number {
  let weakest = Infinity
  for (const [at, i] of members.entries())
    for (let b = at + 1; b < members.length; b++) weakest = Math.min(weakest, node.linkOf(i, members[b]!))
  return weakest
}

interface NearSet {
  readonly members: readonly number[]
  readonly weakest: number
  readonly sum: number
  /** Links to those that stay behind, which are lost to them. */
  readonly cut: number
}

function compareSets(a: NearSet, b: NearSet): number {
  // Infinity less itself is no number.
  const byWeakest = a.weakest === b.weakest ? 0 : b.weakest - a.weakest
  return byWeakest || b.sum - a.sum || a.cut - b.cut
}

function growFrom(
  node: NodeGpus,
  candidates: readonly number[],
  { first, count }: { readonly first: number; readonly count: number },
): NearSet {
  const members = [first]
  const others = new Set(candidates)
  others.delete(first)
  let sum = 0
  while (members.length < count) {
    let next = -1
    let nearest: readonly [number, number] = [-1, -1]
    for (const i of others) {
      const links = members.map((member) => node.linkOf(member, i))
      const near = [Math.min(...links), links.reduce((a, b) => a + b)] as const
      if (near[0] > nearest[0] || (near[0] === nearest[0] && near[1] > nearest[1])) [next, nearest] = [i, near]
    }
    others.delete(next)
    members.push(next)
    sum += nearest[1]
  }
  let cut = 0
  for (const i of others) for (const member of members) cut += node.linkOf(member, i)
  return { members, weakest: weakestLink(node, members), sum, cut }
}
