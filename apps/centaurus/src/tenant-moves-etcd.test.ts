import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { tenants } from '@centaurus/api/centaurus/v1'
import { secrets } from '@centaurus/api/core/v1'
import { openEtcdStore, REVISION_SPAN, withRevisionBase, type Store } from '@centaurus/store'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '@centaurus/store/testing'
import { TestCluster } from './testing/test-cluster.ts'
import { eventually } from './testing/test-partition.ts'
import { checkFollower, followByInformer, followByWatch } from './testing/watchers.ts'
import { Churner, deploy, identities, NAMESPACE, podsOf, untilRunning, Writer } from './testing/workloads.ts'

const REPLICAS = 4
/** More together than etcd takes in one request. */
const LARGE = 'x'.repeat(400_000)
const LARGE_COUNT = 8

describe('a tenant that moves to and between partitions over etcd', { skip: whyNoEtcd() }, () => {
  let cluster: TestCluster
  const servers: EtcdServer[] = []

  before(async () => {
    const openStore = async (index: number): Promise<Store> => {
      const etcd = await startEtcdServer()
      servers.push(etcd)
      return withRevisionBase(await openEtcdStore({ endpoints: etcd.endpoints }), index * REVISION_SPAN)
    }
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant', 'Resource'])
    await cluster.add('tp1', ['Tenant'], { openStore })
    await cluster.add('tp2', ['Tenant'], { openStore })
    await cluster.untilReady()
    await cluster.createTenant('acme', 'home')
  })
  after(async () => {
    await cluster.close()
    for (const server of servers) await server.close()
  })

  for (const [from, to] of [
    ['home', 'tp1'],
    ['tp1', 'tp2'],
    ['tp2', 'home'],
  ] as const) {
    it(`goes from ${from} to ${to} under its pods and watchers`, async (t) => {
      const client = await cluster.admin('acme', from)
      if (from === 'home') {
        await deploy(client, 'web', REPLICAS)
        await untilRunning(client, 'web', REPLICAS)
        for (let i = 0; i < LARGE_COUNT; i++) {
          await client.create(secrets, {
            metadata: { name: `large-${i}`, namespace: NAMESPACE },
            stringData: { LARGE },
          })
        }
      }
      const before = identities(await podsOf(client, 'web'))
      const followers = await Promise.all([
        followByWatch('old address', client),
        followByInformer('old address', client),
      ])
      const writer = new Writer(client)
      const churner = new Churner(client)
      await eventually('writes', async () => writer.acknowledged.length > 10)
      await cluster.move('acme', to)
      await cluster.untilMoved('acme', to)
      const count = writer.acknowledged.length
      await eventually('writes at the new place', async () => writer.acknowledged.length > count + 10)
      await Promise.all([writer.stop(), churner.stop()])
      t.diagnostic(`longest time without a write: ${Math.round(writer.gapMs)} ms`)
      const own = cluster.within('acme', to)
      assert.deepEqual(identities(await podsOf(own, 'web')), before)
      assert.equal(
        (await own.list(secrets, { namespace: NAMESPACE })).items.filter(({ metadata }) =>
          metadata.name.startsWith('large-'),
        ).length,
        LARGE_COUNT,
      )
      await Promise.all(followers.map((follower) => checkFollower(follower, own)))
      await Promise.all(followers.map((follower) => follower.close()))
      const { status } = await cluster.home.plane.client.get(tenants, { name: 'acme' })
      t.diagnostic(status?.conditions?.find(({ type }) => type === 'Moved')?.message ?? '')
    })
  }
})
