import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'

import { configmaps } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'

import { createMemoryClient } from '../testing/memory-client.ts'
import { makePod } from '../testing/pods.ts'
import { createObjectCache } from './object-cache.ts'
import { createObjectWatches } from './object-watches.ts'

describe('config maps and secrets that pods use', () => {
  const clock = createManualClock()
  const client = createMemoryClient()
  const informers = createInformerFactory(client, { clock, random: createSeededRandom(1), logger: silentLogger })
  after(() => informers.close())
  const changed: string[] = []
  const watches = createObjectWatches({ informers, clock, onChange: (uid) => changed.push(uid) })
  const objects = createObjectCache({ client, clock, ttlMs: 1_000_000, watches })
  const name = { namespace: 'default', name: 'settings' }
  const read = async (): Promise<string | undefined> =>
    (await objects.get(configmaps, name.namespace, name.name))?.data?.['color']
  const write = (color: string) => client.patch(configmaps, name, { type: 'merge', body: { data: { color } } })
  const pod = (uid: string) =>
    makePod({ volumes: [{ name: 'v', configMap: { name: 'settings' } }] }, { metadata: { uid } })

  it('are known as they are now, and tell each pod of a change', async () => {
    watches.follow(pod('a'))
    watches.follow(pod('b'))
    assert.equal(await read(), undefined)
    await client.create(configmaps, { metadata: name, data: { color: 'red' } })
    while (changed.length < 2) await new Promise(setImmediate)
    assert.deepEqual(changed.splice(0).toSorted(), ['a', 'b'])
    assert.equal(await read(), 'red')
    watches.follow({ ...pod('b'), spec: { containers: [] } })
    await write('blue')
    while (changed.length < 1) await new Promise(setImmediate)
    assert.deepEqual(changed.splice(0), ['a'])
    assert.equal(await read(), 'blue')
  })

  it('are no longer watched when the last pod has gone', async () => {
    watches.forget('a')
    assert.equal(await read(), 'blue')
    await write('green')
    assert.equal(await read(), 'blue', 'read on use, and kept for a while')
    assert.deepEqual(changed, [])
  })
})
