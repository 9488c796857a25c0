import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '@centaurus/base'
import { createMemoryStore, type Store } from '@centaurus/store'
import fc from 'fast-check'
import { exportTenant, type ExportLine, type ExportSink } from './export-tenant.ts'
import { TenantImport } from './import-tenant.ts'

async function put(store: Store, key: string, value: string): Promise<number> {
  const { revision } = await store.commit({ changes: [{ type: 'put', key, value: Buffer.from(value) }] })
  return revision
}

async function contents(store: Store, prefix: string): Promise<Record<string, string>> {
  const { entries } = await store.range(prefix)
  return Object.fromEntries(entries.map(({ key, value }) => [key, Buffer.from(value).toString()]))
}

/** Runs an export into an import; `stop` ends both. */
function connect(from: Store, to: Store, tenant: string): { target: TenantImport; stop: () => Promise<void> } {
  const abort = new AbortController()
  const target = new TenantImport(to, tenant, { key: '/guard', modRevision: 0 })
  let applied = Promise.resolve()
  const sink: ExportSink = {
    queuedBytes: 0,
    closed: false,
    drained: () => applied,
    write(text) {
      const line = JSON.parse(text) as ExportLine
      applied = applied.then(() => target.apply([line]))
    },
  }
  const exported = exportTenant(from, tenant, { sink, clock: systemClock, signal: abort.signal })
  return {
    target,
    async stop() {
      abort.abort()
      await exported
      await applied
    },
  }
}

describe('the copy of a tenant', () => {
  it('is what the source holds, and follows it', async () => {
    const [from, to] = [createMemoryStore(), createMemoryStore()]
    for (let i = 0; i < 1200; i++) await put(from, `/registry/acme/core/pods/default/${i}`, `{"i":${i}}`)
    await put(from, '/registry/other/core/pods/default/x', '{}')
    await put(to, '/registry/acme/core/pods/default/stale', '{}')
    const { target, stop } = connect(from, to, 'acme')
    await target.whenReached(1)
    const last = await put(from, '/registry/acme/core/pods/default/0', '{"i":"changed"}')
    await target.whenReached(last)
    assert.deepEqual(await contents(to, '/registry/'), await contents(from, '/registry/acme/'))
    const { revision } = await from.commit({ changes: [{ type: 'delete', key: '/registry/acme/core/pods/default/1' }] })
    await target.whenReached(revision)
    assert.deepEqual(await contents(to, '/registry/'), await contents(from, '/registry/acme/'))
    await stop()
  })

  it('has come to no revision before it is whole', async () => {
    const target = new TenantImport(createMemoryStore(), 'acme', { key: '/guard', modRevision: 0 })
    let isWhole = false
    const whole = target.whenReached(0).then(() => (isWhole = true))
    for (let i = 0; i < 3; i++) {
      await target.apply([{ type: 'SNAPSHOT', entries: [[`core/pods/default/${i}`, '{}']] }])
      assert.equal(isWhole, false)
    }
    await target.apply([{ type: 'SYNCED', revision: 7 }])
    await whole
    assert.equal(target.appliedRevision, 7)
  })

  it('is written in commits that etcd takes', async () => {
    const store = createMemoryStore()
    const sizes: { changes: number; bytes: number }[] = []
    const commit: Store['commit'] = (transaction) => {
      const values = transaction.changes.map((change) => (change.type === 'put' ? change.value.byteLength : 0))
      sizes.push({ changes: values.length, bytes: values.reduce((sum, bytes) => sum + bytes, 0) })
      return store.commit(transaction)
    }
    const target = new TenantImport({ ...store, range: store.range.bind(store), commit }, 'acme', {
      key: '/guard',
      modRevision: 0,
    })
    const entries = Array.from({ length: 250 }, (_, i): [string, string] => [
      `core/secrets/default/${i}`,
      'x'.repeat(30_000),
    ])
    await target.apply([
      { type: 'SNAPSHOT', entries: [...entries, ['core/secrets/default/large', 'x'.repeat(1_200_000)]] },
    ])
    assert.equal((await store.range('/registry/acme/')).entries.length, 251)
    for (const { changes, bytes } of sizes) assert.ok(changes <= 100 && (changes === 1 || bytes <= 1024 * 1024))
  })

  it('writes only differences when it begins again', async () => {
    const [from, to] = [createMemoryStore(), createMemoryStore()]
    for (let i = 0; i < 50; i++) await put(from, `/registry/acme/core/secrets/default/${i}`, `${i}`)
    const first = connect(from, to, 'acme')
    await first.target.whenReached(1)
    await first.stop()
    const before = await to.currentRevision()
    await put(from, '/registry/acme/core/secrets/default/7', 'seven')
    const second = connect(from, to, 'acme')
    await second.target.whenReached(1)
    await second.stop()
    assert.equal(await to.currentRevision(), before + 1)
  })

  it('equals the source after any writes, whenever the stream was cut', async () => {
    const operation = fc.record({
      key: fc.integer({ min: 0, max: 5 }),
      value: fc.option(fc.string({ maxLength: 3 })),
      cut: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async (operations) => {
        const [from, to] = [createMemoryStore(), createMemoryStore()]
        let link = connect(from, to, 't')
        for (const { key, value, cut } of operations) {
          const name = `/registry/t/core/configmaps/default/${key}`
          if (value === null) await from.commit({ changes: [{ type: 'delete', key: name }] })
          else await put(from, name, value)
          if (!cut) continue
          await link.stop()
          link = connect(from, to, 't')
        }
        await link.target.whenReached(await from.currentRevision())
        assert.deepEqual(await contents(to, '/registry/'), await contents(from, '/registry/'))
        await link.stop()
      }),
      { numRuns: 60 },
    )
  })
})
