export { runCrashRounds, type CrashOptions, type CrashRound } from './crash.ts'
export { describeStoreContract } from './contract.ts'
export type { OpenStore, StoreContractOptions, StoreDifference } from './options.ts'
export { runCommands, storeCommands, type StoreCommand } from './equivalence.ts'
export { recordWatch, type WatchRecord } from './fixtures.ts'
export { createHastyClock } from './hasty-clock.ts'
export { ModelStore } from './model.ts'
export {
  etcdProgram,
  startEtcdServer,
  whyNoEtcd,
  type EtcdMember,
  type EtcdServer,
  type EtcdServerOptions,
} from './etcd-server.ts'
export { runEtcdFaultRounds, type EtcdFaultOptions } from './etcd-soak.ts'
export { writeEtcdCertificates, type EtcdCertificates } from './etcd-certificates.ts'
export { TcpProxy } from './tcp-proxy.ts'
