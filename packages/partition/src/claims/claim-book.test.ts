import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { StatusError } from '@centaurus/api'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore, openEmbeddedStore, type Store } from '@centaurus/store'
import { ClaimBook } from './claim-book.ts'
import type { ClaimItem, ClaimRoom, ClaimsRequest } from './model.ts'
import { checkStoredClaims, readStoredClaims } from './testing/check-claims.ts'
import { withFaults } from './testing/faulty-store.ts'

const ALLOCATABLE = { cpu: 1000, pods: 10 }

async function openBook(store: Store, nodes: readonly string[]): Promise<ClaimBook> {
  const book = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
  for (const node of nodes) book.ledger.setCapacity(node, ALLOCATABLE)
  await book.start()
  return book
}

function claim(uid: string, node: string, cpu = 300): ClaimRoom {
  return { op: 'claim', uid, node, tenant: 't', namespace: 'ns', name: uid, requests: { cpu } }
}

function request(items: readonly ClaimItem[], more: Partial<ClaimsRequest> = {}): ClaimsRequest {
  return { partition: 'tp', epoch: 1, sequence: 1, items, ...more }
}

const hasCause = (reason: string) => (error: unknown) =>
  error instanceof StatusError && error.code === 409 && error.details?.causes?.[0]?.reason === reason

describe('the book of claims', () => {
  it('answers what is durable, and is the same after a restart', async () => {
    const path = mkdtempSync(join(tmpdir(), 'claims-'))
    const store = await openEmbeddedStore({ path })
    const book = await openBook(store, ['n1', 'n2'])
    const answers = await book.submit(request([claim('a', 'n1'), claim('b', 'n2'), claim('c', 'n2', 900)]))
    assert.deepEqual(
      answers.items.map(({ result }) => result),
      ['accepted', 'accepted', 'refused'],
    )
    await book.submit(request([{ op: 'release', uid: 'b' }], { sequence: 2, epoch: 3 }))
    await book.close()
    await store.close()
    const again = await openEmbeddedStore({ path })
    const reopened = await openBook(again, ['n1', 'n2'])
    assert.equal(reopened.ledger.claimCount, 1)
    assert.equal(reopened.ledger.nodeOf('a'), 'n1')
    assert.equal(reopened.epochOf('tp'), 3)
    await reopened.close()
    await again.close()
    rmSync(path, { recursive: true })
  })

  it('refuses older schedulers and requests that came late, at every API server', async () => {
    const store = createMemoryStore()
    const [one, two] = [await openBook(store, ['n1']), await openBook(store, ['n1'])]
    await one.submit(request([claim('a', 'n1')], { epoch: 4, sequence: 9 }))
    await one.submit(request([{ op: 'release', uid: 'a' }], { epoch: 4, sequence: 10 }))
    await assert.rejects(two.submit(request([claim('a', 'n1')], { epoch: 4, sequence: 9 })), hasCause('StaleRequest'))
    await two.submit(request([], { epoch: 5, sequence: 1 }))
    await assert.rejects(one.submit(request([claim('a', 'n1')], { epoch: 4, sequence: 11 })), hasCause('StaleEpoch'))
    await one.submit(request([claim('x', 'n1')], { partition: 'other', epoch: 1 }))
    assert.deepEqual(
      (await readStoredClaims(store)).map(({ uid }) => uid),
      ['x'],
    )
    await one.close()
    await two.close()
  })

  it('commits more nodes than one transaction takes', async () => {
    const store = createMemoryStore()
    const nodes = Array.from({ length: 300 }, (_, i) => `n${i}`)
    const book = await openBook(store, nodes)
    const answers = await book.submit(request(nodes.map((node) => claim(`uid-${node}`, node))))
    assert.ok(answers.items.every(({ result }) => result === 'accepted'))
    assert.equal((await checkStoredClaims(store, ALLOCATABLE)).length, 300)
    await book.close()
  })

  it('never overcommits however many API servers decide at once and commits get lost', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const random = createSeededRandom(seed)
      const store = createMemoryStore()
      const faulty = withFaults(store, { refused: 0.1, answerLost: 0.1 }, random)
      const nodes = Array.from({ length: 6 }, (_, i) => `n${i}`)
      const books = await Promise.all([1, 2, 3].map(() => openBook(faulty, nodes)))
      const held = await Promise.all(
        ['tp1', 'tp2', 'tp3', 'tp4'].map(async (partition) => {
          const known = new Map<string, string>()
          let sequence = 0
          for (let round = 0; round < 30; round++) {
            const items = Array.from({ length: 5 }, (): ClaimItem => {
              const uid = `${partition}-${random.integer(12)}`
              if (random.next() < 0.3) return { op: 'release', uid }
              return claim(uid, nodes[random.integer(nodes.length)]!, 50 + random.integer(400))
            })
            // An unknown outcome is asked about again until it is known, at any of the servers.
            for (;;) {
              const book = books[random.integer(books.length)]!
              try {
                const { items: answers } = await book.submit(request(items, { partition, sequence: ++sequence }))
                for (const [i, { uid, result }] of answers.entries()) {
                  const item = items[i]!
                  if (result === 'released') known.delete(uid)
                  if (result === 'accepted' && item.op === 'claim') known.set(uid, item.node)
                }
                break
              } catch (error) {
                assert.ok(!hasCause('StaleRequest')(error), 'only the newest request is under way')
              }
            }
          }
          return known
        }),
      )
      const claims = await checkStoredClaims(store, ALLOCATABLE)
      const expected = held.flatMap((known) => [...known]).toSorted()
      assert.deepEqual(claims.map(({ uid, node }) => [uid, node]).toSorted(), expected, `seed ${seed}`)
      const fresh = await openBook(store, nodes)
      for (const book of [...books, fresh]) await book.close()
      assert.equal(fresh.ledger.claimCount, claims.length)
    }
  })
})
