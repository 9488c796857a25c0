export { describeStoreContract, type OpenStore, type StoreContractOptions } from './contract.ts'
export { runCommands, storeCommands, type StoreCommand } from './equivalence.ts'
export { recordWatch, type WatchRecord } from './fixtures.ts'
export { ModelStore } from './model.ts'
