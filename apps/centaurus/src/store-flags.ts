import type { Command } from 'commander'
import { parseStoreFlags, type StoreSetting } from './store-setting.ts'

/** What `--store` and its kin say, as commander gives it. */
export interface StoreOptions {
  readonly store?: string
  readonly etcdEndpoints?: string
  readonly etcdCa?: string
  readonly etcdCert?: string
  readonly etcdKey?: string
  readonly etcdPrefix?: string
}

/** Adds the options that say where a control plane keeps its objects. */
export function addStoreOptions(command: Command): Command {
  return command
    .option('--store <engine>', 'where objects are kept: embedded or etcd (default embedded)')
    .option('--etcd-endpoints <urls>', 'members of etcd, such as https://10.0.0.1:2379,https://10.0.0.2:2379')
    .option('--etcd-ca <file>', "certificate authority of etcd's servers")
    .option('--etcd-cert <file>', 'client certificate for etcd')
    .option('--etcd-key <file>', 'its key')
    .option('--etcd-prefix <prefix>', 'where in etcd (default /centaurus)')
}

/** Undefined when nothing is said about it. Throws `UserError` for what can't be meant. */
export function readStoreFlags(options: StoreOptions): StoreSetting | undefined {
  const { etcdEndpoints: endpoints, etcdCa: ca, etcdCert: cert, etcdKey: key, etcdPrefix: prefix } = options
  const isEtcd = [endpoints, ca, cert, key, prefix].some((flag) => flag !== undefined)
  const engine = options.store ?? (isEtcd ? 'etcd' : undefined)
  if (engine === undefined) return undefined
  return parseStoreFlags({ engine, endpoints, ca, cert, key, prefix }, (flag) =>
    flag === 'engine' ? '--store' : `--etcd-${flag}`,
  )
}
