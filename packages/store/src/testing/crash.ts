/** Kills a writing process again and again, and checks what it left behind. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSeededRandom, decodeText, type Random } from '@centaurus/base'
import { CompactedError, type Store, type StoreEvent } from '../store.ts'
import { openCrashTarget, type CrashTarget } from './crash-target.ts'

/** How long a writer runs at most after it is ready, milliseconds; some are killed while they start. */
const RUN_MS_MAX = 250
const STARTUP_MS_MAX = 250

export interface CrashOptions {
  readonly target: CrashTarget
  readonly rounds: number
  readonly seed: number
  readonly onRound?: ((report: CrashRound) => void) | undefined
}

export interface CrashRound {
  readonly round: number
  readonly acknowledged: number
  readonly revision: number
  readonly compactedRevision: number
}

interface Acknowledged {
  /** Commit text by revision. */
  readonly byRevision: Map<number, string>
  /** Highest acknowledged revision by writer. */
  readonly newestByWriter: Map<string, number>
}

/**
 * Runs rounds of write, kill -9, open, check. Throws `AssertionError` when an acknowledged commit is missing or has another
 * revision, a commit is there in part, or a counted revision is skipped.
 */
export async function runCrashRounds(options: CrashOptions): Promise<void> {
  const random = createSeededRandom(options.seed)
  const acknowledged: Acknowledged = { byRevision: new Map(), newestByWriter: new Map() }
  for (let round = 0; round < options.rounds; round++) {
    const lines = await writeAndKill(options.target, { run: `r${round}`, random })
    for (const line of lines) recordLine(acknowledged, line)
    const store = await openCrashTarget(options.target)
    try {
      const compactedRevision = await checkStore(store, acknowledged, options.target)
      const revision = await store.currentRevision()
      options.onRound?.({ round, acknowledged: lines.length, revision, compactedRevision })
    } finally {
      await store.close()
    }
  }
}

/** The whole lines that the writer printed before it was killed. */
async function writeAndKill(
  target: CrashTarget,
  options: { readonly run: string; readonly random: Random },
): Promise<string[]> {
  const { run, random } = options
  const script = fileURLToPath(new URL('./crash-writer.ts', import.meta.url))
  const child = spawn(process.execPath, [script, JSON.stringify(target), run, String(random.integer(2 ** 20))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const ready = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.startsWith('ready\n')) resolve()
    })
  })
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_code, signal) => resolve(signal)))
  if (random.integer(8) === 0) await sleep(random.integer(STARTUP_MS_MAX))
  else await Promise.race([ready.then(() => sleep(random.integer(RUN_MS_MAX))), exited])
  child.kill('SIGKILL')
  assert.equal(await exited, 'SIGKILL', 'the writer ended by itself')
  const lines = output.split('\n').slice(0, -1) // the last one may be cut
  return lines.filter((line) => line !== 'ready')
}

function recordLine(acknowledged: Acknowledged, line: string): void {
  const [id = '', revisionText] = line.split(' ')
  const revision = Number(revisionText)
  const writer = id.split(':')[1]!
  assert(!acknowledged.byRevision.has(revision), `revision ${revision} was acknowledged twice`)
  acknowledged.byRevision.set(revision, id)
  acknowledged.newestByWriter.set(writer, Math.max(revision, acknowledged.newestByWriter.get(writer) ?? 0))
}

/** Checks all that the history still tells. Returns the compacted revision. */
async function checkStore(store: Store, acknowledged: Acknowledged, target: CrashTarget): Promise<number> {
  const current = await store.currentRevision()
  const compacted = await compactedRevision(store)
  // etcd refuses a watch at the very revision, and its revisions skip those at which slots were tidied away.
  const isEtcd = target.engine === 'etcd'
  const isCounted = target.engine === 'embedded' && !target.isTimed // where they are not, the store knows itself which one follows
  const first = Math.max(compacted + (isEtcd ? 1 : 0), isEtcd ? 1 : 2)
  const history = await readHistory(store, { from: Math.max(isEtcd ? first : compacted, 1), to: current })
  let expected = first
  for (const { revision, events } of history) {
    if (isCounted) assert.equal(revision, expected, 'revisions follow each other')
    else assert(revision >= expected, 'revisions grow')
    expected = revision + 1
    const id = checkCommit(revision, events)
    const told = acknowledged.byRevision.get(revision)
    if (told !== undefined) assert.equal(id, told, `revision ${revision} holds what was acknowledged`)
  }
  if (!isEtcd) assert.equal(expected, Math.max(current + 1, 2))
  const seen = new Set(history.map(({ revision }) => revision))
  for (const [revision, id] of acknowledged.byRevision) {
    assert(revision < first || seen.has(revision), `acknowledged commit ${id} at revision ${revision} is missing`)
    assert(
      revision <= current,
      `acknowledged commit ${id} at revision ${revision} is missing: the newest is ${current}`,
    )
    if (revision < compacted) acknowledged.byRevision.delete(revision) // forgotten on purpose
  }
  for (const [writer, revision] of acknowledged.newestByWriter) {
    const { entry } = await store.get(`w/${writer}`)
    assert(entry !== undefined && entry.modRevision >= revision, `writer ${writer} lost what it wrote at ${revision}`)
  }
  for (const { value } of (await store.range('')).entries) assert(decodeText(value).includes(':'))
  return compacted
}

/** One commit is whole: all its puts carry its text, and the text says how many changes there are. Returns its id. */
function checkCommit(revision: number, events: readonly StoreEvent[]): string {
  const texts = events.flatMap((event) => (event.type === 'put' ? [decodeText(event.entry.value)] : []))
  const [run, writer, sequence, count] = (texts[0] ?? '').split(':')
  assert.equal(events.length, Number(count), `revision ${revision} is whole`)
  assert.equal(new Set(texts).size, 1, `revision ${revision} is of one commit`)
  return `${run}:${writer}:${sequence}`
}

async function compactedRevision(store: Store): Promise<number> {
  const error = await store.get('w/0', { atRevision: 1 }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return 0
  if (error instanceof CompactedError) return error.compactedRevision
  throw error
}

function readHistory(
  store: Store,
  range: { readonly from: number; readonly to: number },
): Promise<{ readonly revision: number; readonly events: readonly StoreEvent[] }[]> {
  const history: { readonly revision: number; readonly events: readonly StoreEvent[] }[] = []
  return new Promise((resolve, reject) => {
    const watch = store.watch('', {
      fromRevision: range.from,
      onEvents: (events, revision) => history.push({ revision, events }),
      onProgress: (revision) => {
        if (revision >= range.to) watch.close()
      },
      onEnd: (error) => (error === undefined ? resolve(history) : reject(error)),
    })
    watch.requestProgress()
  })
}
