import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { networkreports, type NetworkReport } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import { createApiServer, createNetworkExtension } from '@centaurus/apiserver'
import { createManualClock, createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { PolicyReporter } from './policy-reporter.ts'

async function startWorld() {
  const server = createApiServer({
    store: createMemoryStore(),
    clock: systemClock,
    random: createSeededRandom(1),
    logger: silentLogger,
    extensions: [createNetworkExtension()],
  })
  await server.start()
  const client = server.client()
  await client.create(nodes, { metadata: { name: 'n1' } })
  let writes = 0
  let isAway = false
  const counted: Client = {
    ...client,
    get: (...of) => (isAway ? Promise.reject(new Error('away')) : client.get(...of)),
    create: (...of) => (writes++, client.create(...of)),
    update: (...of) => (writes++, client.update(...of)),
  }
  const clock = createManualClock()
  const reporter = new PolicyReporter({ client: counted, nodeName: 'n1', clock, logger: silentLogger })
  return {
    reporter,
    clock,
    client: counted,
    writes: () => writes,
    setAway: (away: boolean) => void (isAway = away),
    /** Lets so much time pass, and resolves to what there is then when `check` holds. */
    async until(ms: number, check: (report: NetworkReport | undefined) => boolean): Promise<NetworkReport | undefined> {
      await clock.advance(ms)
      for (;;) {
        const [report] = (await client.list(networkreports)).items
        if (check(report)) return report
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    async close() {
      await reporter.close()
      await server.close()
    },
  }
}

describe('the report of a node', () => {
  it('says up to where policies are applied, many changes in one write', async () => {
    const world = await startWorld()
    const { reporter } = world
    reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '7', afterMs: 3.4 })
    reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '9', afterMs: 2 })
    reporter.reportApplied({ tenant: 'acme', kind: 'clusterNetworkPolicies', revision: '5', afterMs: 1 })
    const report = await world.until(1_000, (found) => found !== undefined)
    assert.deepEqual(report?.spec.tenants, [
      {
        tenant: 'acme',
        networkPolicies: {
          revision: 9,
          recent: [
            { revision: 9, afterMs: 2 },
            { revision: 7, afterMs: 3 },
          ],
        },
        clusterNetworkPolicies: { revision: 5, recent: [{ revision: 5, afterMs: 1 }] },
      },
    ])
    reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '9', afterMs: 50 })
    reporter.reportApplied({ tenant: 'beta', kind: 'networkPolicies', revision: '11', afterMs: 1 })
    await world.until(1_000, (found) => found?.spec.tenants.length === 2)
    assert.equal(world.writes(), 2)
    assert.equal(report?.metadata.ownerReferences?.[0]?.kind, 'Node')
    reporter.forget('acme')
    await world.until(1_000, (found) => found?.spec.tenants.length === 1)
    await world.close()
  })

  it('remembers the last changes alone', async () => {
    const world = await startWorld()
    for (let i = 1; i <= 40; i++)
      world.reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: `${i}`, afterMs: i })
    const report = await world.until(1_000, (found) => found !== undefined)
    const { recent } = report!.spec.tenants[0]!.networkPolicies!
    assert.deepEqual([recent.length, recent[0]?.revision, recent.at(-1)?.revision], [16, 40, 25])
    await world.close()
  })

  it('goes on after a restart, and forgets no time that it took', async () => {
    const world = await startWorld()
    world.reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '7', afterMs: 3 })
    world.reporter.reportApplied({ tenant: 'gone', kind: 'networkPolicies', revision: '6', afterMs: 3 })
    await world.until(1_000, (found) => found !== undefined)
    await world.reporter.close()
    const { client, clock } = world
    const reporter = new PolicyReporter({ client, nodeName: 'n1', clock, logger: silentLogger })
    reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '7', afterMs: 900 })
    reporter.reportApplied({ tenant: 'acme', kind: 'clusterNetworkPolicies', revision: '8', afterMs: 900 })
    const report = await world.until(1_000, (found) => found?.spec.tenants.length === 1)
    assert.deepEqual(report?.spec.tenants[0], {
      tenant: 'acme',
      networkPolicies: { revision: 7, recent: [{ revision: 7, afterMs: 3 }] },
      clusterNetworkPolicies: { revision: 8, recent: [{ revision: 8, afterMs: 900 }] },
    })
    await reporter.close()
    await world.close()
  })

  it('comes later when the API is away', async () => {
    const world = await startWorld()
    world.setAway(true)
    world.reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision: '7', afterMs: 1 })
    await world.clock.advance(1_000)
    await new Promise((resolve) => setImmediate(resolve))
    world.setAway(false)
    await world.until(5_000, (found) => found?.spec.tenants[0]?.networkPolicies?.revision === 7)
    await world.close()
  })
})
