/** Run with `--expose-gc`, a directory, nodes and claims: fills a store with claims and prints what they cost in memory, as JSON. */
import { mkdirSync } from 'node:fs'
import { silentLogger, systemClock } from '@centaurus/base'
import { ClaimBook, type ClaimItem } from '@centaurus/partition'
import { openEmbeddedStore } from '@centaurus/store'
import { settleMemory } from './memory.ts'

const BATCH_ITEMS = 2_000

const [path = '', nodesText, claimsText] = process.argv.slice(2)
const nodes = Number(nodesText)
const claims = Number(claimsText)
mkdirSync(path, { recursive: true })
const store = await openEmbeddedStore({ path, automaticCompaction: { revisionsMax: 100 } })
await fill()
const empty = await settleMemory()
const book = createBook()
const before = await settleMemory()
await book.start()
const after = await settleMemory()
if (book.ledger.claimCount !== claims) throw new Error(`${book.ledger.claimCount} of ${claims} claims are there`)
const { entries } = await store.range('/centaurus/claims/nodes/')
process.stdout.write(
  JSON.stringify({
    ledgerBytes: (after.objectBytes - before.objectBytes) / claims,
    nodeBytes: (before.objectBytes - empty.objectBytes) / nodes,
    valueBytes: entries.reduce((sum, { value }) => sum + value.byteLength, 0) / claims,
  }),
)
await book.close()
await store.close()

function createBook(): ClaimBook {
  const created = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
  const capacity = { cpu: 64_000, memory: 256 * 2 ** 30, pods: 110 }
  for (let i = 0; i < nodes; i++) created.ledger.setCapacity(`node-${i}`, capacity)
  return created
}

/** Deployments of some sizes in some namespaces, pods spread over all nodes. */
async function fill(): Promise<void> {
  const filling = createBook()
  await filling.start()
  let sequence = 1
  for (let first = 0; first < claims; first += BATCH_ITEMS) {
    const items = Array.from({ length: Math.min(BATCH_ITEMS, claims - first) }, (_, n): ClaimItem => {
      const number = first + n
      const suffix = String(number).padStart(12, '0')
      return {
        op: 'claim',
        uid: `0f8fad5b-d9cb-469f-a165-${suffix}`,
        tenant: `tenant-${number % 20}`,
        namespace: `namespace-${number % 200}`,
        name: `deployment-${number % 1000}-7d9c6b5f4-${suffix.slice(7)}`,
        node: `node-${(number * 7919) % nodes}`,
        requests: { cpu: 100 * (1 + (number % 3)), memory: 128 * 2 ** 20, pods: 1 },
      }
    })
    await filling.submit({ partition: 'tp', epoch: 1, sequence: sequence++, items })
  }
  await filling.close()
}
