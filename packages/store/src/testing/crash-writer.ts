/**
 * Writes to a store as fast as it can, and prints each acknowledged commit, until it is killed.
 * Run: `node crash-writer.ts TARGET RUN SEED`, with a `CrashTarget` as JSON. Prints `ready`, then lines of `RUN:WRITER:SEQUENCE REVISION`.
 *
 * Every commit puts `w/WRITER` = `RUN:WRITER:SEQUENCE:CHANGES`, and perhaps changes shared keys with the same text, so that a
 * reader of the history can tell whether it is whole.
 */
import { createSeededRandom, encodeText, type Random } from '@centaurus/base'
import { CompactedError, type Change, type Store } from '../store.ts'
import { openCrashTarget, type CrashTarget } from './crash-target.ts'

const WRITERS = 64
const SHARED_KEYS = 40
const SHARED_CHANGES_MAX = 4
const VALUE_BYTES_MAX = 6_000
const COMPACT_EVERY_COMMITS = 400
const HISTORY_REVISIONS = 1_500

const [target = '', run = '', seed = '0'] = process.argv.slice(2)
const store = await openCrashTarget(JSON.parse(target) as CrashTarget)
process.stdout.write('ready\n')
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeForever(store, writer)))

async function writeForever(into: Store, writer: number): Promise<never> {
  const random = createSeededRandom(Number(seed) * WRITERS + writer)
  for (let sequence = 0; ; sequence++) {
    const id = `${run}:${writer}:${sequence}`
    const existing = await into.range('s/', { keysOnly: true })
    const changes = chooseChanges({ id, writer, random, existing: existing.entries.map(({ key }) => key) })
    // Others may delete the same keys meanwhile: compare, so that the number of changes in the text stays true.
    const compare = changes.flatMap((change) => {
      const entry = existing.entries.find(({ key }) => key === change.key)
      return change.type === 'delete' ? [{ key: change.key, modRevision: entry?.modRevision ?? 0 }] : []
    })
    const result = await into.commit({ compare, changes })
    if (!result.committed) continue
    process.stdout.write(`${id} ${result.revision}\n`)
    if (result.revision % COMPACT_EVERY_COMMITS === 0) await compact(into, result.revision - HISTORY_REVISIONS)
  }
}

function chooseChanges(options: {
  readonly id: string
  readonly writer: number
  readonly random: Random
  readonly existing: readonly string[]
}): Change[] {
  const { id, writer, random, existing } = options
  const keys = new Set<string>()
  const shared = random.integer(3) === 0 ? random.integer(SHARED_CHANGES_MAX + 1) : 0
  for (let i = 0; i < shared; i++) keys.add(`s/${random.integer(SHARED_KEYS)}`)
  const text = `${id}:${keys.size + 1}:`
  const value = encodeText(text.padEnd(text.length + random.integer(VALUE_BYTES_MAX), 'x'))
  const changes: Change[] = [{ type: 'put', key: `w/${writer}`, value }]
  for (const key of keys) {
    if (existing.includes(key) && random.integer(2) === 0) changes.push({ type: 'delete', key })
    else changes.push({ type: 'put', key, value })
  }
  return changes
}

async function compact(into: Store, revision: number): Promise<void> {
  if (revision < 2) return
  await into.compact(revision).catch((error: unknown) => {
    if (!(error instanceof CompactedError)) throw error
  })
}
