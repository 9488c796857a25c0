import { readFileSync } from 'node:fs'
import { systemClock, type Logger } from '@centaurus/base'
import {
  COMPACTION_INTERVAL_MS,
  continueRevisions,
  MigrationError,
  openEmbeddedStore,
  openEtcdStore,
  REVISION_SPAN,
  StoreFileError,
  StoreLockedError,
  StoreUnavailableError,
  timedRevisions,
  withRevisionBase,
  type EtcdTls,
  type Store,
} from '@centaurus/store'
import type { Home } from './home.ts'
import type { Settings } from './settings.ts'
import type { EtcdSetting, StoreSetting } from './store-setting.ts'
import { UserError } from './user-error.ts'

/** SIGABRT, SIGBUS and SIGSEGV. Source: signal(7). A damaged store may be what a process has died of that was killed by them. */
const CRASH_SIGNALS = new Set(['6', '7', '11'])

export interface OpenStoreOptions {
  readonly logger?: Logger | undefined
  /** Read all of a store file first: it may be damaged. Default: when the process that was here before crashed. */
  readonly verify?: boolean | undefined
}

/** Opens the cluster's store. Throws {@link UserError} for what a person can mend. */
export async function openClusterStore(home: Home, setting: StoreSetting, options?: OpenStoreOptions): Promise<Store> {
  const store = await openRawStore(home, setting, options)
  try {
    return await continueRevisions(store)
  } catch (error) {
    await store.close()
    throw explain(error)
  }
}

/** As {@link openClusterStore}; its revisions begin where those of no other partition do, so that they tell from which store they are. */
export async function openPartitionStore(home: Home, { store, partition }: Settings, logger?: Logger): Promise<Store> {
  return withRevisionBase(await openClusterStore(home, store, { logger }), (partition?.index ?? 0) * REVISION_SPAN)
}

/** Opens it as it is, for a migration. Throws {@link UserError} for what a person can mend. */
export async function openRawStore(
  home: Home,
  setting: StoreSetting,
  { logger, verify = CRASH_SIGNALS.has(process.env['SUPERVISE_SIGNAL'] ?? '') }: OpenStoreOptions = {},
): Promise<Store> {
  const automaticCompaction = { intervalMs: COMPACTION_INTERVAL_MS }
  try {
    if (setting.engine === 'embedded') {
      const revisions = timedRevisions(systemClock)
      return await openEmbeddedStore({ path: home.storeDir, automaticCompaction, revisions, logger, verify })
    }
    const { endpoints, prefix } = setting
    readTls(setting) // a file that is missing is said at once; later ones are read at each connection
    return await openEtcdStore({ endpoints, prefix, tls: () => readTls(setting), automaticCompaction, logger })
  } catch (error) {
    throw explain(error)
  }
}

function explain(error: unknown): unknown {
  const isForPeople =
    error instanceof StoreFileError ||
    error instanceof StoreLockedError ||
    error instanceof StoreUnavailableError ||
    error instanceof MigrationError ||
    error instanceof TypeError // an endpoint or a prefix that cannot be meant
  return isForPeople ? new UserError(error.message, { cause: error }) : error
}

function readTls(setting: EtcdSetting): EtcdTls {
  const read = (path: string | undefined): string | undefined => {
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new UserError(`Cannot read ${path}, which etcd needs: ${(cause as Error).message}`, { cause })
    }
  }
  return { ca: read(setting.ca), cert: read(setting.cert), key: read(setting.key) }
}
