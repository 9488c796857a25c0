import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '../generated/types/core/v1.ts'
import type { Stored } from '../meta/object.ts'
import { IdentityBook } from './identity-book.ts'
import { identityContentOf, identityNameOf, isInPodNetwork, tenantOfViewed, viewedName, vpcNameOf } from './identity.ts'
import type { NetworkIdentity } from './network.ts'

function pod(labels: Record<string, string>, annotations?: Record<string, string>): Pod {
  return { metadata: { name: 'p', namespace: 'web', labels, annotations } }
}

/** As a view shows it. */
function seen(from: Pod): Pod {
  const annotations = { ...from.metadata.annotations, 'centaurus.io/tenant': 'acme', 'centaurus.io/namespace': 'web' }
  return { ...from, metadata: { ...from.metadata, namespace: 'web--acme', annotations } }
}

function identityOf(from: Pod, keys: readonly string[], id: number): Stored<NetworkIdentity> {
  const content = identityContentOf(from, keys)
  const metadata = {
    name: viewedName(identityNameOf(content), tenantOfViewed(from)),
    uid: `u${id}`,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  }
  const { namespace = '' } = from.metadata
  return { metadata, spec: { ...content, keys: [...keys], vpc: vpcNameOf(from), namespace, id } }
}

describe('the identity of a pod', () => {
  it('is made of its namespace, its network and the labels that policies ask for', () => {
    const web = pod({ app: 'web', hash: 'x1' })
    const name = identityNameOf(identityContentOf(web, ['app', 'role']))
    assert.match(name, /^id-[0-9a-f]{16}$/)
    assert.equal(identityNameOf(identityContentOf(pod({ app: 'web', hash: 'y2' }), ['app', 'role'])), name)
    for (const [other, keys] of [
      [pod({ app: 'db' }), ['app', 'role']],
      [pod({ app: 'web', role: '' }), ['app', 'role']],
      [web, ['app']],
      [pod({ app: 'web' }, { 'centaurus.io/vpc': 'blue' }), ['app', 'role']],
      [{ metadata: { ...web.metadata, namespace: 'api' } }, ['app', 'role']],
    ] as const)
      assert.notEqual(identityNameOf(identityContentOf(other, keys)), name)
  })

  it('has the same name in its tenant and in a view over all of them', () => {
    const web = pod({ app: 'web' })
    const name = identityNameOf(identityContentOf(web, ['app']))
    assert.equal(identityNameOf(identityContentOf(seen(web), ['app'])), name)
    assert.equal(vpcNameOf(seen(web)), 'default--acme')
    assert.equal(vpcNameOf(web), 'default')
  })

  it('is only of pods that have an address of their own', () => {
    const spec = { containers: [] }
    assert.equal(isInPodNetwork({ ...pod({}), spec }), true)
    assert.equal(isInPodNetwork({ ...pod({}), spec: { ...spec, hostNetwork: true } }), false)
    assert.equal(isInPodNetwork({ ...pod({}), spec, status: { phase: 'Succeeded' } }), false)
  })
})

describe('the identities that a node knows', () => {
  const web = seen(pod({ app: 'web', role: 'front' }))
  const coarse = identityOf(web, ['app'], 300)
  const fine = identityOf(web, ['app', 'role'], 301)
  const book = new IdentityBook()

  it('are none at first', () => {
    assert.deepEqual(book.choose(web, { keys: ['app'], nowMs: 0 }), { type: 'none' })
  })

  it('say exactly what policies ask, when there is one that does', () => {
    book.put(coarse, -Infinity)
    book.put(identityOf(seen(pod({ app: 'db' })), ['app'], 299), -Infinity)
    assert.deepEqual(book.choose(web, { keys: ['app'], nowMs: 0 }), { type: 'exact', id: 300 })
  })

  it('stand in for one that is not there yet, when they say nothing wrong', () => {
    assert.deepEqual(book.choose(web, { keys: ['app', 'role'], nowMs: 0 }), { type: 'older', id: 300 })
    assert.deepEqual(book.choose(web, { keys: ['app', 'role'], current: 300, nowMs: 0 }), { type: 'older', id: 300 })
    assert.deepEqual(book.choose(seen(pod({ app: 'x' })), { keys: ['app', 'role'], nowMs: 0 }), { type: 'none' })
  })

  it('give a running pod a finer one when others know it, and a new pod at once', () => {
    book.put(fine, 5_000)
    const keys = ['app', 'role']
    const settling = { type: 'settling', id: 300, recheckInMs: 400 }
    assert.deepEqual(book.choose(web, { keys, current: 300, nowMs: 5_600 }), settling)
    assert.deepEqual(book.choose(web, { keys, current: 300, nowMs: 6_000 }), { type: 'exact', id: 301 })
    assert.deepEqual(book.choose(web, { keys, nowMs: 5_000 }), { type: 'exact', id: 301 })
    assert.deepEqual(book.choose(web, { keys, current: 301, nowMs: 5_000 }), { type: 'exact', id: 301 })
    book.put(fine, 9_000) // heard of again: it is as old as it was
    assert.deepEqual(book.choose(web, { keys, current: 300, nowMs: 9_000 }), { type: 'exact', id: 301 })
  })

  it('do not go on saying of a pod what is not so any more', () => {
    const moved = seen(pod({ app: 'db', role: 'front' }))
    const keys = ['app', 'role']
    assert.deepEqual(book.choose(moved, { keys, current: 301, nowMs: 20_000 }), { type: 'stale', id: 301 })
    book.put(identityOf(moved, keys, 302), 20_000)
    assert.deepEqual(book.choose(moved, { keys, current: 301, nowMs: 20_000 }), { type: 'exact', id: 302 })
    book.remove(identityOf(moved, keys, 302))
    assert.deepEqual(book.choose(moved, { keys, nowMs: 20_000 }), { type: 'older', id: 299 })
  })
})
