import { describeStoreContract } from '../testing/contract.ts'
import { createMemoryStore } from './memory-store.ts'

describeStoreContract('The memory store', async () => createMemoryStore(), { randomRuns: 300 })
