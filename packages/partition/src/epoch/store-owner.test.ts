import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createMemoryStore } from '@centaurus/store'
import { claimStore, ForeignStoreError } from './store-owner.ts'

it('a store is one partition’s for ever', async () => {
  const store = createMemoryStore()
  // As several servers do that start at once.
  await Promise.all([claimStore(store, 'tp1'), claimStore(store, 'tp1')])
  await claimStore(store, 'tp1')
  const revision = await store.currentRevision()
  await assert.rejects(claimStore(store, 'rp0'), (error: unknown) => {
    assert(error instanceof ForeignStoreError)
    assert.match(error.message, /another partition, "tp1", and this is "rp0". Put the store of "rp0" in its place/)
    return true
  })
  assert.equal(await store.currentRevision(), revision)
  await store.close()
})
