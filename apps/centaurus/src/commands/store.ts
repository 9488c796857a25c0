import { existsSync } from 'node:fs'
import { migrateStore, MigrationError, TransactionTooLargeError, type MigrationReport } from '@centaurus/store'
import { findDaemon, isSupervised } from '../daemons.ts'
import type { Home } from '../home.ts'
import { openClusterStore, openRawStore } from '../open-store.ts'
import { runSteps } from '../progress.ts'
import { DEFAULT_SETTINGS, readSettings, writeSettings } from '../settings.ts'
import { describeStore, isSameStore, parseStoreFlags, type StoreFlags, type StoreSetting } from '../store-setting.ts'
import { UserError } from '../user-error.ts'

/** Moves the cluster's objects to another store, and has the cluster use it. The old one stays as it is. */
export async function migrateClusterStore(home: Home, flags: StoreFlags): Promise<void> {
  const target = parseStoreFlags(flags, (flag) => (flag === 'engine' ? '--to' : `--${flag}`))
  const settings = readSettings(home) ?? DEFAULT_SETTINGS
  const source = settings.store
  refuse(home, source, target)
  let report: MigrationReport | undefined
  await runSteps([
    {
      title: `Copy ${describeStore(home, source)} to ${describeStore(home, target)}`,
      task: async (_, task) => {
        report = await copy(home, { source, target, show: (line) => (task.output = line) })
      },
    },
    { title: 'Use it from now on', task: () => writeSettings(home, { ...settings, store: target }) },
  ])
  process.stdout.write(farewell(home, source, report!))
}

function refuse(home: Home, source: StoreSetting, target: StoreSetting): void {
  if (!existsSync(home.settings))
    throw new UserError(`There is no cluster in ${home.dir}. Start one with ./centaurus up`)
  if (isSupervised(home, 'control-plane') || findDaemon(home, 'control-plane') !== undefined) {
    throw new UserError(
      'Cannot move the objects of a cluster that runs: run ./centaurus down first, and stop every other control plane that uses the same store',
    )
  }
  if (isSameStore(home, source, target)) {
    throw new UserError(`The cluster's objects are in ${describeStore(home, target)} already`)
  }
}

interface Copy {
  readonly source: StoreSetting
  readonly target: StoreSetting
  readonly show: (line: string) => void
}

async function copy(home: Home, { source, target, show }: Copy): Promise<MigrationReport> {
  const from = await openClusterStore(home, source, { verify: true })
  try {
    const to = await openRawStore(home, target)
    try {
      return await migrateStore({
        source: from,
        sourceName: describeStore(home, source),
        target: to,
        onProgress: ({ phase, done, total }) => show(`${phase} ${done} of ${total} objects`),
      })
    } catch (error) {
      throw explainCopy(error, home, target)
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}

function explainCopy(error: unknown, home: Home, target: StoreSetting): unknown {
  if (!(error instanceof MigrationError) && !(error instanceof TransactionTooLargeError)) return error
  const way =
    target.engine === 'embedded'
      ? `An old store may be moved away: mv ${home.storeDir} ${home.storeDir}.old`
      : 'Another place in the same etcd has another prefix: --prefix /centaurus-2'
  const advice = error.message.includes('not empty') ? `. ${way}` : ''
  return new UserError(`${error.message}${advice}`, { cause: error })
}

function farewell(home: Home, source: StoreSetting, report: MigrationReport): string {
  const { entries, bytes, digest, sourceRevision, targetRevision } = report
  const old =
    source.engine === 'embedded'
      ? `The old store is still in ${home.storeDir}; delete it when you need it no more.`
      : `The old objects are still in ${describeStore(home, source)}; delete them when you need them no more.`
  return `
Copied ${entries} objects, ${bytes} bytes, and compared them (SHA-256 ${digest.slice(0, 16)}…).
Revisions go on from ${sourceRevision}: the next one is ${targetRevision + 1}. Clients list again by themselves.
${old}
./centaurus up starts the cluster with its new store.
`
}
