import { describeStoreContract } from '../testing/contract.ts'
import { closeGaps, sparseRevisions } from '../testing/sparse-revisions.ts'
import { createMemoryStore } from './memory-store.ts'

describeStoreContract('The memory store', async () => createMemoryStore(), { randomRuns: 300 })

describeStoreContract(
  'The memory store, with gaps between its revisions,',
  async () => closeGaps(createMemoryStore({ revisions: sparseRevisions })),
  { randomRuns: 100 },
)
