import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FairSet } from './fair-set.ts'

function drain(set: FairSet): string[] {
  const taken: string[] = []
  for (let key = set.take(); key !== undefined; key = set.take()) taken.push(key)
  return taken
}

describe('a fair set', () => {
  it('hands out the keys of one tenant in order of arrival, each once', () => {
    const set = new FairSet()
    for (const key of ['default/b', 'default/a', 'kube-system/c', 'default/b', 'node-1']) set.add(key)
    assert.equal(set.size, 4)
    assert.ok(set.has('default/a'))
    assert.deepEqual(drain(set), ['default/b', 'default/a', 'kube-system/c', 'node-1'])
    assert.equal(set.size, 0)
  })

  it('gives each tenant its turn, whatever the others ask for', () => {
    const set = new FairSet()
    for (let i = 0; i < 1000; i++) set.add(`default--loud/${i}`)
    set.add('default--quiet/a')
    set.add('shop--quiet/b')
    set.add('pv-1--other')
    assert.deepEqual(
      [set.take(), set.take(), set.take(), set.take(), set.take()],
      ['default--loud/0', 'default--quiet/a', 'pv-1--other', 'default--loud/1', 'shop--quiet/b'],
    )
    set.add('default--quiet/c')
    assert.deepEqual([set.take(), set.take()], ['default--loud/2', 'default--quiet/c'])
    assert.equal(set.size, 997)
    set.clear()
    assert.equal(set.take(), undefined)
  })
})
