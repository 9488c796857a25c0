import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { OrderedVersions } from './ordered-versions.ts'
import { Version, versionAt } from './version.ts'

describe('OrderedVersions', () => {
  it('ranges and counts as a sorted array does, over many leaves', () => {
    const step = fc.record({ key: fc.nat(700), kind: fc.constantFrom('put', 'put', 'put', 'delete', 'forget') })
    const property = fc.property(
      fc.array(step, { maxLength: 3_000, size: 'max' }),
      fc.record({ from: fc.nat(700), limit: fc.nat(50), past: fc.double({ min: 0, max: 1, noNaN: true }) }),
      (steps, query) => {
        const keys = new OrderedVersions()
        const heads = new Map<string, Version>()
        steps.forEach(({ key, kind }, i) => apply(keys, heads, { key: keyOf(key), kind, revision: i + 2 }))
        const revision = Math.floor(steps.length * query.past) + 2
        for (const prefix of ['', 'k/', 'k/1', 'k/12']) {
          const from = keyOf(query.from).startsWith(prefix) ? keyOf(query.from) : prefix
          const wanted = [...heads.values()]
            .filter(({ key }) => key.startsWith(prefix) && key >= from)
            .map((head) => versionAt(head, revision))
            .filter((version) => version !== undefined && version.version > 0)
            .sort((a, b) => (a!.key < b!.key ? -1 : 1))
          const got = keys.range(prefix, from, { revision, limit: query.limit })
          assert.equal(got.count, wanted.length)
          assert.deepEqual(got.versions, wanted.slice(0, query.limit))
        }
      },
    )
    fc.assert(property, { numRuns: 40 })
  })

  it('finds each of many keys, whatever order they came in', () => {
    const keys = new OrderedVersions()
    const count = 5_000
    for (let i = 0; i < count; i++)
      keys.set(versionOf(keyOf((i * 7_919) % count), { revision: i + 2, previous: undefined }))
    for (let i = 0; i < count; i++) assert.equal(keys.head(keyOf(i))?.key, keyOf(i))
    assert.equal(keys.head('k/'), undefined)
    assert.equal(keys.range('', '', { revision: count + 2, limit: 1 }).count, count)
    for (let i = 0; i < count; i++) keys.remove(keyOf(i))
    assert.equal(keys.range('', '', { revision: count + 2, limit: 1 }).count, 0)
  })
})

function apply(
  keys: OrderedVersions,
  heads: Map<string, Version>,
  step: { readonly key: string; readonly kind: string; readonly revision: number },
): void {
  const { key, kind, revision } = step
  if (kind === 'forget') {
    keys.remove(key)
    heads.delete(key)
    return
  }
  const version = versionOf(key, { revision, previous: heads.get(key), deleted: kind === 'delete' })
  keys.set(version)
  heads.set(key, version)
}

function versionOf(
  key: string,
  options: { readonly revision: number; readonly previous: Version | undefined; readonly deleted?: boolean },
): Version {
  const number = options.deleted === true ? 0 : 1
  const { revision: modRevision, previous } = options
  return new Version({
    key,
    modRevision,
    createRevision: number,
    version: number,
    slot: -1,
    value: undefined,
    previous,
  })
}

function keyOf(number: number): string {
  return `k/${number}`
}
