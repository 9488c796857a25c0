import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { PRESETS, linkOf } from '../sources/simulated/presets.ts'
import { chooseDevices } from './choose-devices.ts'

function linksOf(preset: string): number[][] {
  const machine = PRESETS[preset]!
  return Array.from({ length: machine.count }, (_, i) =>
    Array.from({ length: machine.count }, (_, j) => (i === j ? 0 : linkOf(machine, i, j))),
  )
}

const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7]
const choose = (links: number[][] | undefined, available: number[], size: number, mustInclude: number[] = []) =>
  chooseDevices({ links, available, mustInclude, size })

/** By bits, without any of the code's notions. */
function bruteForce(links: number[][], available: number[], size: number): { within: number; across: number } {
  let best = { within: -1, across: 0 }
  for (let bits = 0; bits < 1 << links.length; bits++) {
    const set = links.map((_, i) => i).filter((i) => (bits >> i) & 1)
    if (set.length !== size || !set.every((i) => available.includes(i))) continue
    const found = measure(links, available, set)
    if (found.within > best.within || (found.within === best.within && found.across < best.across)) best = found
  }
  return best
}

function measure(links: number[][], available: number[], set: number[]): { within: number; across: number } {
  let [within, across] = [0, 0]
  for (const i of set) {
    for (const j of set) within += links[i]![j]! / 2
    for (const j of available) if (!set.includes(j)) across += links[i]![j]!
  }
  return { within, across }
}

describe('chooseDevices', () => {
  it('keeps to one side of a box with two CPUs', () => {
    assert.deepEqual(choose(linksOf('pcie-l40s'), EIGHT, 4), [0, 1, 2, 3])
    assert.deepEqual(choose(linksOf('pcie-l40s'), [1, 3, 4, 5, 6, 7], 4), [4, 5, 6, 7])
  })

  it('takes pairs whole', () => {
    assert.deepEqual(choose(linksOf('pcie-a100'), [1, 2, 3], 2), [2, 3])
  })

  it('takes the odd one out of three for a single GPU', () => {
    assert.deepEqual(choose(linksOf('pcie-a100'), [0, 1, 3], 1), [3])
  })

  it('takes fours of a cube mesh that have all six links within', () => {
    assert.deepEqual(choose(linksOf('dgx-1'), EIGHT, 4), [0, 1, 2, 3])
    assert.deepEqual(choose(linksOf('dgx-1'), EIGHT, 2), [0, 3])
  })

  it('keeps what must be included', () => {
    assert.deepEqual(choose(linksOf('pcie-a100'), [0, 1, 2, 3], 2, [2]), [2, 3])
    assert.deepEqual(choose(linksOf('pcie-a100'), [0, 1, 2, 3], 2, [0, 3]), [0, 3])
  })

  it('takes the first ones where nothing is known of links', () => {
    assert.deepEqual(choose(undefined, [2, 5, 7], 2), [2, 5])
  })

  it('takes no more than there are, and nothing for nothing', () => {
    assert.deepEqual(choose(linksOf('pcie-t4'), [1, 2], 5), [1, 2])
    assert.deepEqual(choose(linksOf('pcie-t4'), [1, 2], 0), [])
    assert.deepEqual(choose(linksOf('pcie-t4'), [], 2), [])
  })

  it('finds what trying everything finds, on any machine', () => {
    const seed = 7
    const random = createSeededRandom(seed)
    for (let round = 0; round < 300; round++) {
      const count = 1 + Math.floor(random.next() * 9)
      const links = Array.from({ length: count }, () => Array.from({ length: count }, () => 0))
      for (let i = 0; i < count; i++)
        for (let j = i + 1; j < count; j++) links[i]![j] = links[j]![i] = 10 * Math.floor(random.next() * 7)
      const available = links.map((_, i) => i).filter(() => random.next() < 0.8)
      if (available.length === 0) continue
      const size = 1 + Math.floor(random.next() * available.length)
      const set = choose(links, available, size)
      assert.deepEqual(
        measure(links, available, set),
        bruteForce(links, available, size),
        `seed ${seed} round ${round}`,
      )
    }
  })

  it('chooses well among 64 GPUs, where trying everything takes for ever', () => {
    const links = Array.from({ length: 64 }, (_, i) =>
      Array.from({ length: 64 }, (_, j) => (i === j ? 0 : i >> 3 === j >> 3 ? 62 : 10)),
    )
    const all = links.map((_, i) => i)
    const available = all.filter((i) => i >= 16 || i % 2 === 0)
    assert.deepEqual(choose(links, available, 8), [16, 17, 18, 19, 20, 21, 22, 23])
    assert.equal(choose(links, all, 32).length, 32)
  })
})
