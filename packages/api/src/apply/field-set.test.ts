import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  forEachMember,
  formatFieldPath,
  hasPath,
  intersectSets,
  setOfPaths,
  subtractSets,
  subtractSubtrees,
  unionSets,
  type FieldSet,
} from './field-set.ts'

/** The dumb reference: a set of paths as texts. */
function membersOf(set: FieldSet): Set<string> {
  const members = new Set<string>()
  forEachMember(set, (path) => members.add(path.join('/')))
  return members
}

const name = fc.constantFrom('a', 'b', 'c')
const anySet = fc.array(fc.array(name, { minLength: 1, maxLength: 4 }), { maxLength: 8 }).map(setOfPaths)

describe('field sets', () => {
  it('join, subtract and intersect as sets of paths do', () => {
    fc.assert(
      fc.property(anySet, anySet, (a, b) => {
        const left = membersOf(a)
        const right = membersOf(b)
        assert.deepEqual(membersOf(unionSets(a, b)), new Set([...left, ...right]))
        assert.deepEqual(membersOf(subtractSets(a, b)), new Set([...left].filter((path) => !right.has(path))))
        assert.deepEqual(membersOf(intersectSets(a, b)), new Set([...left].filter((path) => right.has(path))))
      }),
    )
  })

  it('keep no node that holds nothing', () => {
    const holdsNothing = (set: FieldSet): boolean =>
      Object.entries(set).some(([key, node]) => key !== '.' && Object.keys(node).length === 1 && '.' in node)
    fc.assert(
      fc.property(anySet, anySet, (a, b) => {
        for (const set of [unionSets(a, b), subtractSets(a, b), intersectSets(a, b)])
          assert.equal(holdsNothing(set), false)
        assert.deepEqual(unionSets(a, a), a)
        assert.deepEqual(subtractSets(a, a), {})
      }),
    )
  })

  it('lose whole subtrees', () => {
    const set = setOfPaths([
      ['spec', 'a'],
      ['status', 'x', 'y'],
      ['status', 'z'],
    ])
    assert.deepEqual(subtractSubtrees(set, setOfPaths([['status']])), { 'f:spec': { 'f:a': {} } })
    assert.deepEqual(subtractSubtrees(set, setOfPaths([['status', 'x']])), {
      'f:spec': { 'f:a': {} },
      'f:status': { 'f:z': {} },
    })
  })

  it('print paths as upstream does', () => {
    assert.equal(
      formatFieldPath(['f:spec', 'f:ports', 'k:{"containerPort":80,"protocol":"TCP"}', 'f:name']),
      '.spec.ports[containerPort=80,protocol="TCP"].name',
    )
    assert.equal(formatFieldPath(['f:finalizers', 'v:"a/b"']), '.finalizers[="a/b"]')
    assert.equal(hasPath({ 'f:a': { 'f:b': {} } }, ['f:a']), false)
    assert.equal(hasPath({ 'f:a': { '.': {}, 'f:b': {} } }, ['f:a']), true)
  })
})
