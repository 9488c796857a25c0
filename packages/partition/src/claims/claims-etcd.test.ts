import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { openEtcdStore, type Store } from '@centaurus/store'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '@centaurus/store/testing'
import { ClaimBook } from './claim-book.ts'
import type { ClaimItem } from './model.ts'
import { checkStoredClaims } from './testing/check-claims.ts'

const CAPACITY = { cpu: 1000, pods: 8 }
const NODES = Array.from({ length: 300 }, (_, i) => `n${i}`)

describe('Claims of two API servers over one etcd', { skip: whyNoEtcd() }, () => {
  let etcd: EtcdServer
  const stores: Store[] = []
  const books: ClaimBook[] = []

  before(async () => {
    etcd = await startEtcdServer()
    for (let i = 0; i < 2; i++) {
      const store = await openEtcdStore({ endpoints: etcd.endpoints })
      const book = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
      for (const node of NODES) book.ledger.setCapacity(node, CAPACITY)
      await book.start()
      stores.push(store)
      books.push(book)
    }
  })
  after(async () => {
    for (const book of books) await book.close()
    for (const store of stores) await store.close()
    await etcd?.close()
  })

  const claim = (uid: string, node: string, cpu: number): ClaimItem => ({
    op: 'claim',
    uid,
    node,
    tenant: 't',
    namespace: 'ns',
    name: uid,
    requests: { cpu },
  })

  it('take as many nodes as a request may have', async () => {
    const items = NODES.map((node) => claim(`first-${node}`, node, 10))
    const answers = await books[0]!.submit({ partition: 'big', epoch: 1, sequence: 1, items })
    assert.ok(answers.items.every(({ result }) => result === 'accepted'))
    assert.equal((await checkStoredClaims(stores[1]!, CAPACITY)).length, NODES.length)
    await books[1]!.release(
      'big',
      NODES.map((node) => ({ op: 'release', uid: `first-${node}` })),
    )
    assert.equal((await checkStoredClaims(stores[0]!, CAPACITY)).length, 0)
  })

  it('never overcommit a node, also when etcd dies meanwhile', { timeout: 60_000 }, async () => {
    const few = NODES.slice(0, 8)
    const rounds = 25
    const held = await Promise.all(
      ['tp1', 'tp2', 'tp3'].map(async (partition, number) => {
        const random = createSeededRandom(number)
        const known = new Map<string, string>()
        let sequence = 0
        for (let round = 0; round < rounds; round++) {
          if (number === 0 && round === 10) {
            await etcd.members[0]!.kill()
            await etcd.members[0]!.start()
          }
          const items = Array.from({ length: 6 }, (): ClaimItem => {
            const uid = `${partition}-${random.integer(12)}`
            if (random.next() < 0.3) return { op: 'release', uid }
            return claim(uid, few[random.integer(few.length)]!, 50 + random.integer(400))
          })
          for (;;) {
            const book = books[random.integer(books.length)]!
            try {
              const { items: answers } = await book.submit({ partition, epoch: 1, sequence: ++sequence, items })
              for (const [i, { uid, result }] of answers.entries()) {
                const item = items[i]!
                if (result === 'released') known.delete(uid)
                if (result === 'accepted' && item.op === 'claim') known.set(uid, item.node)
              }
              break
            } catch {
              // etcd is away, or its answer was lost: the same is asked again
              await new Promise((resolve) => setTimeout(resolve, 10))
            }
          }
        }
        return known
      }),
    )
    const claims = await checkStoredClaims(stores[0]!, CAPACITY)
    assert.deepEqual(
      claims.map(({ uid, node }) => [uid, node]).toSorted(),
      held.flatMap((known) => [...known]).toSorted(),
    )
  })
})
