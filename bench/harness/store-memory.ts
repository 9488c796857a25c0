/** Run with `--expose-gc`, a directory and a count: fills an embedded store and prints what a key costs in this process, as JSON. */
import { openEmbeddedStore, type Change } from '@centaurus/store'
import { settleMemory } from './memory.ts'

const VALUE_BYTES = 3_000
const CHANGES_A_COMMIT = 50

const directory = process.argv[2] ?? ''
const keys = Number(process.argv[3])
const store = await openEmbeddedStore({ path: directory })
await fill(0, 10_000) // what the process needs at all
const before = await settleMemory()
await fill(10_000, 10_000 + keys)
const after = await settleMemory()
process.stdout.write(
  JSON.stringify({
    objectBytes: (after.objectBytes - before.objectBytes) / keys,
    anonymousBytes: (after.anonymousBytes - before.anonymousBytes) / keys,
    residentBytes: (after.residentBytes - before.residentBytes) / keys,
  }),
)
await store.close()

async function fill(first: number, end: number): Promise<void> {
  for (let i = first; i < end; i += CHANGES_A_COMMIT) {
    const changes: Change[] = Array.from({ length: CHANGES_A_COMMIT }, (_, n) => ({
      type: 'put',
      key: `/registry/pods/namespace-${(i + n) % 100}/deployment-7d9c6b5f4-${String(i + n).padStart(8, '0')}`,
      value: new Uint8Array(VALUE_BYTES).fill(i + n),
    }))
    await store.commit({ changes })
  }
}
