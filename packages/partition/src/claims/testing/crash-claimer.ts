/**
 * Claims and releases room over an embedded store as fast as it can, and prints each answered batch, until it is killed.
 * Run: `node crash-claimer.ts DIRECTORY RUN SEED`. Prints `ready`, then a line of JSON a batch: `[[uid, node or null], …]`, null for a release.
 */
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { openEmbeddedStore } from '@centaurus/store'
import { acquireEpoch } from '../../epoch/acquire-epoch.ts'
import { ClaimBook } from '../claim-book.ts'
import type { ClaimItem } from '../model.ts'
import { CRASH_CAPACITY, CRASH_NODES } from './crash-world.ts'

const PARTITIONS = 4
const BATCH_ITEMS = 200
const RELEASED_A_BATCH = 80

const [path = '', run = '', seed = '0'] = process.argv.slice(2)
const store = await openEmbeddedStore({ path })
const { epoch } = await acquireEpoch(store)
const book = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
for (const node of CRASH_NODES) book.ledger.setCapacity(node, CRASH_CAPACITY)
await book.start()
process.stdout.write('ready\n')
await Promise.all(Array.from({ length: PARTITIONS }, (_, i) => claimForever(`tp${i}`, Number(seed) * PARTITIONS + i)))

async function claimForever(partition: string, ownSeed: number): Promise<never> {
  const random = createSeededRandom(ownSeed)
  const held: string[] = []
  for (let sequence = 1; ; sequence++) {
    const items: ClaimItem[] = held.splice(0, RELEASED_A_BATCH).map((uid) => ({ op: 'release', uid }))
    while (items.length < BATCH_ITEMS) {
      const uid = `${run}-${partition}-${sequence}-${items.length}`
      const node = CRASH_NODES[random.integer(CRASH_NODES.length)]!
      const requests = { cpu: 10 + random.integer(90) }
      items.push({ op: 'claim', uid, node, tenant: 't', namespace: 'ns', name: uid, requests })
    }
    const answers = await book.submit({ partition, epoch, sequence, items })
    const told = answers.items.flatMap(({ uid, result }, i): [string, string | null][] => {
      const item = items[i]!
      if (result === 'released') return [[uid, null]]
      if (result === 'accepted' && item.op === 'claim') return [[uid, item.node]]
      return []
    })
    held.push(...told.flatMap(([uid, node]) => (node === null ? [] : [uid])))
    process.stdout.write(`${JSON.stringify(told)}\n`)
  }
}
