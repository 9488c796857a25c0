import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { pods, secrets } from '@centaurus/api/core/v1'
import { openClusterCertificates } from '@centaurus/apiserver'
import { createSeededRandom } from '@centaurus/base'
import { createMemoryStore, type Store } from '@centaurus/store'
import type { OpenLink } from '../membership/partition-link.ts'
import { Closure } from './closure.ts'
import { originOf } from './copies.ts'
import { RELAYED } from './needs.ts'
import {
  addNode,
  putPartitions,
  putTenant,
  runPod,
  startPartition,
  until,
  type TestPartition,
} from './testing/world.ts'

const SEEDS = [1, 2]
const STEPS = 80
/** After so many steps the other side gets time to do a part of them. */
const STEPS_A_STREAM = 10
/** Lines after which a stream is cut, at most. */
const LINES_MAX = 25
/** One commit of so many fails. */
const FAILING_COMMITS = 12

const ROLES = { tp: ['Tenant' as const], rp: ['Resource' as const] }
const TENANTS = ['acme', 'beta']

describe('the relay over a bad line and a bad disk', () => {
  let tp: TestPartition
  let rp: TestPartition
  let isBad = true
  let streams = 0
  const random = createSeededRandom(7)

  /** Cuts streams after some lines, before or after the line was taken. */
  const cut =
    (openLink: OpenLink): OpenLink =>
    (partition) => {
      const link = openLink(partition)
      return {
        request: (options) => link.request(options),
        async stream(options) {
          streams++
          const stop = new AbortController()
          let left = isBad ? random.integer(LINES_MAX) : Number.POSITIVE_INFINITY
          const onLine = (line: Uint8Array): void => {
            if (left-- > 0) options.onLine(line)
            else stop.abort(new Error('Cut by the test'))
          }
          await link.stream({ ...options, onLine, signal: AbortSignal.any([options.signal, stop.signal]) })
        },
        close: () => link.close(),
      }
    }
  /** Fails commits of copies now and then. */
  const breakCommits = (store: Store): Store => ({
    currentRevision: () => store.currentRevision(),
    get: (...of) => store.get(...of),
    range: (...of) => store.range(...of),
    watch: (...of) => store.watch(...of),
    compact: (...of) => store.compact(...of),
    close: () => store.close(),
    commit(transaction) {
      const isOfCopies = transaction.changes.some(({ key }) =>
        TENANTS.some((name) => key.startsWith(`/registry/${name}/`)),
      )
      const fails = isBad && isOfCopies && random.integer(FAILING_COMMITS) === 0
      return fails ? Promise.reject(new Error('Broken by the test')) : store.commit(transaction)
    },
  })

  before(async () => {
    const certificates = await openClusterCertificates()
    tp = await startPartition({ name: 'tp', store: createMemoryStore(), certificates })
    rp = await startPartition({ name: 'rp', store: breakCommits(createMemoryStore()), certificates, wrapLink: cut })
    await addNode(rp, 'n1')
    await putPartitions([tp, rp], ROLES)
    for (const tenant of TENANTS) await putTenant([tp, rp], tenant, 'tp')
  })
  after(async () => {
    for (const partition of [tp, rp]) await partition.close()
  })

  /** What must be at the nodes, with the originals' revisions. */
  const expected = async (): Promise<string[]> => {
    const { stored } = tp.server.server
    const closure = new Closure('rp', stored, { listener: { put() {}, remove() {} }, isServed: () => true })
    await closure.load(TENANTS)
    return Array.from(
      closure.current(),
      ({ address, object }) => `${address.tenant}/${address.resource}/${address.key}@${object.revision}`,
    ).toSorted()
  }
  const present = (): string[] => {
    const { stored } = rp.server.server
    return TENANTS.flatMap((tenant) =>
      RELAYED.flatMap((resource) =>
        Array.from(
          stored.list(tenant, resource),
          (entry) => `${tenant}/${resource}/${entry.key}@${originOf(entry.object())?.revision}`,
        ),
      ),
    ).toSorted()
  }

  async function step(draw: (max: number) => number): Promise<void> {
    const client = tp.of(TENANTS[draw(TENANTS.length)]!)
    const pod = `p${draw(6)}`
    const secret = `s${draw(3)}`
    const key = { namespace: 'default', name: secret }
    try {
      switch (draw(4)) {
        case 0: {
          const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: secret, key: 'k', optional: true } } }]
          const spec = { containers: [{ name: 'c', image: 'i', env }] }
          return await runPod(client, { name: pod, node: 'n1', partition: draw(4) === 0 ? 'elsewhere' : 'rp', spec })
        }
        case 1:
          return void (await client.delete(pods, { namespace: 'default', name: pod }, { gracePeriodSeconds: 0 }))
        case 2:
          return void (await client.create(secrets, { metadata: key, stringData: { k: String(draw(100)) } }))
        default:
          return void (draw(2) === 0
            ? await client.delete(secrets, key)
            : await client.patch(secrets, key, { type: 'merge', body: { stringData: { k: String(draw(100)) } } }))
      }
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'AlreadyExists')) throw error
    }
  }

  for (const seed of SEEDS) {
    it(`ends with exactly what the nodes need (seed ${seed})`, async () => {
      const draws = createSeededRandom(seed)
      isBad = true
      for (let i = 0; i < STEPS; i++) {
        await step((max) => draws.integer(max))
        if (i % STEPS_A_STREAM !== 0) continue
        const before = streams
        await until('the stream was cut, or is synced', () => streams > before || rp.relay.isSynced('tp'))
      }
      isBad = false
      await until('all copies are as they must be', async () => present().join() === (await expected()).join())
      assert.ok(present().length > 0)
      assert.ok(streams > 2, `only ${streams} streams were opened`)
    })
  }
})
