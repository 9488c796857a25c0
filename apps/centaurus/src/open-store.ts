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

/** Opens the cluster's store, for an API server. Throws {@link UserError} for what a person can mend. */
export async function openClusterStore(home: Home, setting: StoreSetting, logger?: Logger): Promise<Store> {
  const store = await openRawStore(home, setting, logger)
  try {
    return await continueRevisions(store)
  } catch (error) {
    await store.close()
    throw explain(error)
  }
}

/** As {@link openClusterStore}; its revisions begin where those of no other partition do, so that they tell from which store they are. */
export async function openPartitionStore(home: Home, { store, partition }: Settings, logger?: Logger): Promise<Store> {
  return withRevisionBase(await openClusterStore(home, store, logger), (partition?.index ?? 0) * REVISION_SPAN)
}

/** Opens it as it is, for a migration. Throws {@link UserError} for what a person can mend. */
export async function openRawStore(home: Home, setting: StoreSetting, logger?: Logger): Promise<Store> {
  const automaticCompaction = { intervalMs: COMPACTION_INTERVAL_MS }
  try {
    if (setting.engine === 'embedded') {
      const revisions = timedRevisions(systemClock)
      return await openEmbeddedStore({ path: home.storeDir, automaticCompaction, revisions, logger })
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
