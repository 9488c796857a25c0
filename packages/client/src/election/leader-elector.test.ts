import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { alreadyExists, conflict, notFound, type Stored } from '@centaurus/api'
import { leases, type Lease } from '@centaurus/api/coordination/v1'
import { createManualClock, createSeededRandom, silentLogger, type ManualClock } from '@centaurus/base'
import type { Client } from '../client.ts'
import { LeaderElector } from './leader-elector.ts'

/** One lease with versions, as an API server would keep it; `reachable` cuts it off. */
function createLeaseServer(): {
  lease: Stored<Lease> | undefined
  clientFor: () => { client: Client; cut: () => void }
} {
  const server: ReturnType<typeof createLeaseServer> = {
    lease: undefined,
    clientFor() {
      let isCut = false
      const reach = (): void => {
        if (isCut) throw new Error('the server is away')
      }
      const store = (object: Lease, version: number): Stored<Lease> => {
        const metadata = { ...object.metadata, resourceVersion: String(version) }
        return (server.lease = { ...object, metadata } as Stored<Lease>)
      }
      const client = {
        async get() {
          reach()
          if (server.lease === undefined) throw notFound(leases, 'leader')
          return server.lease
        },
        async create(_type: unknown, object: Lease) {
          reach()
          if (server.lease !== undefined) throw alreadyExists(leases, 'leader')
          return store(object, 1)
        },
        async update(_type: unknown, object: Lease) {
          reach()
          const version = server.lease?.metadata.resourceVersion
          if (object.metadata.resourceVersion !== version) throw conflict(leases, 'leader', 'it was changed')
          return store(object, Number(version) + 1)
        },
      } as unknown as Client // only what an elector calls
      return { client, cut: () => (isCut = true) }
    },
  }
  return server
}

function elect(client: Client, clock: ManualClock, identity: string, log: string[]): LeaderElector {
  return new LeaderElector({
    client,
    namespace: 'kube-system',
    name: 'leader',
    identity,
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
    async lead(signal) {
      log.push(`+${identity}`)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      log.push(`-${identity}`)
    },
  })
}

async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) await clock.advance(1000)
}

describe('LeaderElector', () => {
  it('lets one lead, and the next as soon as it gives the lease back', async () => {
    const clock = createManualClock()
    const server = createLeaseServer()
    const log: string[] = []
    const first = elect(server.clientFor().client, clock, 'a', log)
    await pass(clock, 3)
    const second = elect(server.clientFor().client, clock, 'b', log)
    await pass(clock, 60)
    assert.deepEqual(log, ['+a'])
    assert.ok(first.isLeader && !second.isLeader)
    await first.close()
    await pass(clock, 5)
    assert.deepEqual(log, ['+a', '-a', '+b'])
    assert.equal(server.lease?.spec?.leaseTransitions, 1)
    await second.close()
  })

  it('stops leading before another may start when it can no longer renew', async () => {
    const clock = createManualClock()
    const server = createLeaseServer()
    const log: string[] = []
    const one = server.clientFor()
    const first = elect(one.client, clock, 'a', log)
    await pass(clock, 3)
    const second = elect(server.clientFor().client, clock, 'b', log)
    await pass(clock, 10)
    one.cut()
    await pass(clock, 30)
    assert.deepEqual(log, ['+a', '-a', '+b'])
    await Promise.all([first.close(), second.close()])
  })
})
