import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { planConsolidation, type ConsolidationNode, type Movable } from './consolidate.ts'

const ANYWHERE = (): boolean => true
const gpus = (amount: number): ReadonlyMap<string, number> => new Map([['gpu', amount]])
const pod = (amount: number, mayRun: (node: string) => boolean = ANYWHERE) => ({ request: gpus(amount), mayRun })
const movable = (id: string, places: Record<string, number>, priority = 0): Movable => ({
  id,
  priority,
  pods: Object.entries(places).map(([node, amount]) => ({ ...pod(amount), node })),
})
const nodes = (free: Record<string, number>): ConsolidationNode[] =>
  Object.entries(free).map(([name, amount]) => ({ name, free: gpus(amount) }))

describe('planConsolidation', () => {
  it('moves who has somewhere to go', () => {
    const running = [movable('x', { a: 4 }), movable('y', { b: 4 })]
    assert.deepEqual(planConsolidation(nodes({ a: 4, b: 4 }), [pod(8)], running), ['x'])
    assert.deepEqual(planConsolidation(nodes({ a: 4, b: 4 }), [pod(4)], running), [])
  })

  it('moves nobody who would not fit again, or where the pod may not run', () => {
    const running = [movable('x', { a: 5 }), movable('y', { b: 5 })]
    assert.equal(planConsolidation(nodes({ a: 3, b: 3 }), [pod(8)], running), undefined)
    const onlyB = pod(8, (node) => node === 'b')
    assert.deepEqual(planConsolidation(nodes({ a: 5, b: 3 }), [onlyB], running), ['y'])
  })

  it('makes room for all of a gang', () => {
    const running = ['a', 'b', 'c', 'd'].map((node) => movable(`on-${node}`, { [node]: 4 }))
    const moved = planConsolidation(nodes({ a: 4, b: 4, c: 4, d: 4 }), [pod(8), pod(8)], running)
    assert.equal(moved?.length, 2)
  })

  it('names only sets after whose move everybody fits, at random', () => {
    let found = 0
    for (let seed = 0; seed < 300; seed++) {
      const random = createSeededRandom(seed)
      const free = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`n${i}`, random.integer(5)]))
      const running = Array.from({ length: 6 }, (_, i) =>
        movable(`w${i}`, { [`n${random.integer(5)}`]: 1 + random.integer(4) }),
      )
      const wanted = [pod(3 + random.integer(5))]
      const moved = planConsolidation(nodes(free), wanted, running)
      if (moved === undefined || moved.length === 0) continue
      found++
      const left = { ...free }
      const again = running.filter(({ id }) => moved.includes(id))
      for (const { pods } of again) for (const { node, request } of pods) left[node]! += request.get('gpu')!
      const sizes = [...wanted, ...again.flatMap(({ pods }) => pods)].map(({ request }) => request.get('gpu')!)
      assert.ok(canPack(Object.values(left), sizes), `seed ${seed}`)
    }
    assert.ok(found > 20, `${found} plans show little`)
  })
})

/** Tries every way. */
function canPack(left: readonly number[], [size, ...others]: readonly number[]): boolean {
  if (size === undefined) return true
  return left.some((room, i) => room >= size && canPack(left.with(i, room - size), others))
}
