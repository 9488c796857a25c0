import assert from 'node:assert/strict'
import { it } from 'node:test'
import { encodeText } from '@centaurus/base'
import * as fc from 'fast-check'
import { CompactedError, FutureRevisionError, type Store, type Transaction } from '../store.ts'
import { keeps, type OpenStore, type StoreContractOptions } from './options.ts'
import { recordWatch, show } from './fixtures.ts'
import { ModelStore } from './model.ts'

const RUNS_DEFAULT = 50
const COMMANDS_MAX = 60

/** Revisions are given as parts of the current one, so that a shrunken sequence keeps its meaning. */
export type StoreCommand =
  | { readonly type: 'commit'; readonly changes: Transaction['changes']; readonly compare: readonly CompareCommand[] }
  | { readonly type: 'range'; readonly prefix: string; readonly at: number; readonly limit: number }
  | { readonly type: 'compact'; readonly at: number }

interface CompareCommand {
  readonly key: string
  /** Compare with what the key has now, rather than with `otherwise`. */
  readonly holds: boolean
  readonly otherwise: number
}

const key = fc.constantFrom('a', 'a/1', 'a/2', 'a/\u{10000}', 'a/\uffff', 'b', 'b/1', 'é')
const value = fc.nat(99).map((number) => encodeText(String(number)))
const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('put' as const), key, value }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
)
const compare = fc.record({ key, holds: fc.boolean(), otherwise: fc.nat(5) })

/** Random commands for a store; used with {@link runCommands}. */
export const storeCommands: fc.Arbitrary<StoreCommand[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant('commit' as const),
        changes: fc.uniqueArray(change, { maxLength: 4, selector: (item) => item.key }),
        compare: fc.array(compare, { maxLength: 2 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('range' as const),
        prefix: fc.constantFrom('', 'a', 'a/', 'b', 'é'),
        at: fc.double({ min: 0, max: 1.1, noNaN: true }),
        limit: fc.nat(4),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('compact' as const),
        at: fc.double({ min: 0, max: 1.1, noNaN: true }),
      }),
    },
  ),
  { maxLength: COMMANDS_MAX },
)

/** Compares an engine with {@link ModelStore} over random commands; a failure prints its seed. */
export function describeEquivalence(open: OpenStore, options: StoreContractOptions): void {
  it('answers as the reference model does, whatever is asked', async () => {
    const seed = options.seed === undefined ? {} : { seed: options.seed }
    const property = fc.asyncProperty(storeCommands, async (commands) => {
      const store = await open()
      try {
        await runCommands(store, commands, options)
      } finally {
        await store.close()
      }
    })
    await fc.assert(property, { numRuns: options.randomRuns ?? RUNS_DEFAULT, ...seed })
  })
}

/** Runs `commands` on a new store and on the model, and compares every answer and everything that a watch was told. */
export async function runCommands(
  store: Store,
  commands: readonly StoreCommand[],
  options: StoreContractOptions = {},
): Promise<ModelStore> {
  const model = new ModelStore()
  const record = recordWatch(store, '')
  for (const command of commands) {
    if (command.type === 'commit') await runCommit(store, model, command)
    else if (command.type === 'range') await runRange(store, model, command)
    else {
      const at = Math.ceil(model.revision * command.at)
      assert.equal(await outcome(() => store.compact(at).then(() => 'ok')), at === 0 ? 'compacted' : model.compact(at))
    }
  }
  await record.untilRevision(model.revision)
  assert.deepEqual(record.calls, model.history())
  const oldest = model.compacted + (keeps(options, 'a watch may start at the compacted revision') ? 0 : 1)
  const past = recordWatch(store, '', { from: Math.max(1, oldest) })
  await past.untilRevision(model.revision)
  const wanted = model.history().filter(({ revision }) => revision > model.compacted)
  assert.deepEqual(
    past.calls.filter(({ revision }) => revision > model.compacted),
    wanted,
  )
  return model
}

async function runCommit(
  store: Store,
  model: ModelStore,
  command: StoreCommand & { readonly type: 'commit' },
): Promise<void> {
  const now = new Map((await store.range('')).entries.map((entry) => [entry.key, entry.modRevision]))
  const resolved = command.compare.map(({ key, holds, otherwise }) => ({
    key,
    modRevision: holds ? (now.get(key) ?? 0) : otherwise,
  }))
  const result = await store.commit({ compare: resolved, changes: command.changes })
  const found = result.committed ? [] : result.found.map(show)
  const wanted = model.commit({ compare: resolved, changes: command.changes })
  assert.deepEqual({ committed: result.committed, revision: result.revision, found }, wanted)
}

async function runRange(
  store: Store,
  model: ModelStore,
  command: StoreCommand & { readonly type: 'range' },
): Promise<void> {
  const at = Math.max(1, Math.ceil(model.revision * command.at))
  const wanted = model.range(command.prefix, at)
  const got = await outcome(() => store.range(command.prefix, { atRevision: at, limit: command.limit }))
  if (typeof wanted === 'string' || typeof got === 'string') {
    assert.equal(got, wanted)
    return
  }
  const expected = command.limit === 0 ? wanted : wanted.slice(0, command.limit)
  assert.deepEqual(got.entries.map(show), expected)
  assert.equal(got.count, wanted.length)
  assert.equal(got.more, wanted.length > expected.length)
}

async function outcome<T>(run: () => Promise<T>): Promise<T | 'compacted' | 'future'> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof CompactedError) return 'compacted'
    if (error instanceof FutureRevisionError) return 'future'
    throw error
  }
}
