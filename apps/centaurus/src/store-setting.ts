import { resolve } from 'node:path'
import type { Home } from './home.ts'
import { UserError } from './user-error.ts'

/** Where the cluster keeps its objects. */
export type StoreSetting =
  /** In the home folder; one control plane. */
  { readonly engine: 'embedded' } | EtcdSetting

/** In an etcd, which several control planes may share. */
export interface EtcdSetting {
  readonly engine: 'etcd'
  readonly endpoints: readonly string[]
  /** Absolute paths of PEM files. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly prefix: string
}

/** What the command line says about a store; each as it was typed. */
export interface StoreFlags {
  readonly engine: string
  readonly endpoints?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly prefix?: string | undefined
}

/** The engine's own default. */
const PREFIX_DEFAULT = '/centaurus'

export const EMBEDDED: StoreSetting = { engine: 'embedded' }

/** Reads the flags. Throws {@link UserError}; `names` says what a flag is called, for its message. */
export function parseStoreFlags(flags: StoreFlags, names: (flag: keyof StoreFlags) => string): StoreSetting {
  const { engine, endpoints, ca, cert, key, prefix } = flags
  if (engine !== 'embedded' && engine !== 'etcd') {
    throw new UserError(`Cannot use ${names('engine')} "${engine}": it must be embedded or etcd`)
  }
  if (engine === 'embedded') {
    const useless = (['endpoints', 'ca', 'cert', 'key', 'prefix'] as const).find((flag) => flags[flag] !== undefined)
    if (useless === undefined) return EMBEDDED
    throw new UserError(`Cannot use ${names(useless)} with an embedded store: it is for ${names('engine')} etcd`)
  }
  if (endpoints === undefined) {
    throw new UserError(
      `Cannot find etcd: name its members with ${names('endpoints')} https://10.0.0.1:2379,https://10.0.0.2:2379`,
    )
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UserError(`Cannot use a certificate without its key: give both ${names('cert')} and ${names('key')}`)
  }
  const files = { ca, cert, key }
  const paths = Object.entries(files).flatMap(([name, path]) => (path === undefined ? [] : [[name, resolve(path)]]))
  return {
    engine,
    endpoints: endpoints.split(',').map((endpoint) => endpoint.trim().replace(/\/$/, '')),
    ...(Object.fromEntries(paths) as Pick<EtcdSetting, 'ca' | 'cert' | 'key'>),
    prefix: prefix ?? PREFIX_DEFAULT,
  }
}

/** Reads what the settings' file holds; absent: embedded. Throws `SyntaxError`. */
export function parseStoreSetting(raw: unknown): StoreSetting {
  if (raw === undefined) return EMBEDDED
  const setting = raw as EtcdSetting | null
  const isEtcd =
    setting?.engine === 'etcd' &&
    Array.isArray(setting.endpoints) &&
    setting.endpoints.every((endpoint) => typeof endpoint === 'string') &&
    typeof setting.prefix === 'string'
  if (!isEtcd) throw new SyntaxError(`its store is ${JSON.stringify(raw)}, which is not known`)
  return setting
}

/** For people, and to tell whether two are the same. */
export function describeStore(home: Home, setting: StoreSetting): string {
  if (setting.engine === 'embedded') return home.storeDir
  return `etcd at ${setting.endpoints.join(', ')} under ${setting.prefix}`
}

export function isSameStore(home: Home, a: StoreSetting, b: StoreSetting): boolean {
  return describeStore(home, a) === describeStore(home, b)
}
