import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { configmaps } from '@centaurus/api/core/v1'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createMemoryStore, REVISION_SPAN, withRevisionBase } from '@centaurus/store'
import { createApiServer } from '../server.ts'

describe('a partition whose revisions start at a base', () => {
  it('lets watches resume at its own revisions and sends those of other partitions back to list', async () => {
    const store = withRevisionBase(createMemoryStore(), 2 * REVISION_SPAN)
    const server = createApiServer({ store, clock: systemClock, random: systemRandom, logger: silentLogger })
    await server.start()
    const client = server.client()
    const made = await client.create(configmaps, { metadata: { namespace: 'default', name: 'a' } })
    const own = Number(made.metadata.resourceVersion)
    assert.ok(own > 2 * REVISION_SPAN)
    const endOf = (resourceVersion: number): Promise<Error | undefined> =>
      new Promise((resolve) => {
        const watch = client.watch(configmaps, {
          resourceVersion: String(resourceVersion),
          onEvent: () => {},
          onEnd: resolve,
        })
        if (resourceVersion === own) watch.close()
      })
    assert.equal(await endOf(own), undefined)
    for (const foreign of [own - REVISION_SPAN, own + REVISION_SPAN, 17]) {
      assert.ok(isStatus(await endOf(foreign), 'Expired'), String(foreign))
    }
    await assert.rejects(
      client.update(configmaps, {
        ...made,
        metadata: { ...made.metadata, resourceVersion: String(own - REVISION_SPAN) },
      }),
      (error) => isStatus(error, 'Conflict'),
    )
    await server.close()
    await store.close()
  })
})
