import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { tenants } from '@centaurus/api/centaurus/v1'
import { configmaps, pods, type Pod } from '@centaurus/api/core/v1'
import type { Stored } from '@centaurus/api'
import { createSeededRandom, systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { TestCluster } from './testing/test-cluster.ts'
import { eventually } from './testing/test-partition.ts'
import { boundOf, deploy, NAMESPACE, podsOf, untilRunning, Writer } from './testing/workloads.ts'

const SEED = Number(process.env['SEED'] ?? 8)
const REPLICAS = 4
/** A move without faults takes less. */
const FAULT_WITHIN_MS = 250
const VICTIMS = ['source', 'target', 'home', 'rp1'] as const

/** What of pods must not change when the partitions around them are stopped. */
function places(list: readonly Stored<Pod>[]): string[] {
  return list
    .map(({ metadata, spec }) => `${metadata.uid} ${spec?.nodeName} ${metadata.deletionTimestamp ?? ''}`)
    .toSorted()
}

describe(`a tenant that moves while partitions are stopped (SEED=${SEED})`, () => {
  let cluster: TestCluster
  let client: Client
  let writer: Writer
  const random = createSeededRandom(SEED)

  before(async () => {
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant'])
    await cluster.add('tp1', ['Tenant', 'Resource'])
    await cluster.add('tp2', ['Tenant'])
    await cluster.add('rp1', ['Resource'])
    await cluster.untilReady()
    await cluster.createTenant('acme', 'tp1')
    client = await cluster.admin('acme', 'home')
    await deploy(client, 'web', REPLICAS)
    await untilRunning(client, 'web', REPLICAS)
    writer = new Writer(client)
  })
  after(async () => {
    await writer.stop()
    await cluster.close()
  })

  let at: 'tp1' | 'tp2' = 'tp1'
  for (const [round, victim] of [...VICTIMS, ...VICTIMS].entries()) {
    it(`comes through when ${victim} is stopped (${round})`, async () => {
      const to = at === 'tp1' ? 'tp2' : 'tp1'
      const name = victim === 'source' ? at : victim === 'target' ? to : victim
      const pods = places(await podsOf(cluster.within('acme', at), 'web'))
      const count = writer.acknowledged.length
      await cluster.move('acme', to)
      await systemClock.sleep(random.integer(FAULT_WITHIN_MS))
      await cluster.part(name).stop()
      await cluster.part(name).start()
      await cluster.untilMoved('acme', to)
      at = to
      await eventually('writes at the new place', async () => writer.acknowledged.length > count + 20)
      assert.deepEqual(places(await podsOf(cluster.within('acme', to), 'web')), pods)
    })
  }

  it('has lost nothing, and lives in one place', async () => {
    await writer.stop()
    const { items } = await cluster.within('acme', at).list(configmaps, { namespace: NAMESPACE })
    const written = new Set(items.map(({ metadata }) => metadata.name))
    const lost = writer.acknowledged.filter((name) => !written.has(name))
    assert.deepEqual(lost, [])
    const { status } = await cluster.home.plane.client.get(tenants, { name: 'acme' })
    assert.equal(status?.partition, at)
    for (const { name, plane } of cluster.partitions) {
      assert.equal(plane.server.tenants.isHosted('acme'), name === at, name)
    }
    await untilRunning(client, 'web', REPLICAS)
    const bound = boundOf((await client.list(pods, { namespace: NAMESPACE })).items)
    await eventually(`claims of ${bound.join()}`, async () => {
      const claims = await cluster.claimsOf('acme')
      return claims.join() === bound.join()
    }).catch(async () => assert.deepEqual(await cluster.claimsOf('acme'), bound))
    await deploy(client, 'more', 2)
    await untilRunning(client, 'more', 2)
  })
})
