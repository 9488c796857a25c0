import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { whyNoEtcd } from '@centaurus/store/testing'
import { whyNoRoot } from './lib/cluster.ts'
import { damageStore, DAMAGES } from './lib/damage-store.ts'
import type { PartitionHosts } from './lib/partition-hosts.ts'
import { PartitionScenario, REPLICAS } from './lib/partition-scenario.ts'
import { waitFor } from './lib/processes.ts'

/** Of what breaks: machines that are cut off, deaf, mute, slow and killed, and pairs that are deaf. `npm run soak -- partitions` goes on with others. */
const SEED = Number(process.env['SEED'] ?? 10)
/** How long something stays broken. More finds more: OUTAGE_SECONDS=60. */
const OUTAGE_MS = Number(process.env['OUTAGE_SECONDS'] ?? 5) * 1000
/** How often some things break together. */
const WINDOWS = 5

describe(`partitions that fail, seed ${SEED}`, { skip: whyNoRoot() || whyNoEtcd() }, () => {
  const random = createSeededRandom(SEED)
  let scenario: PartitionScenario
  let hosts: PartitionHosts

  before(async () => {
    scenario = await PartitionScenario.start({ label: 'faults', random, outageMs: OUTAGE_MS })
    hosts = scenario.hosts
  })
  after(() => scenario?.destroy())

  it('runs the pods of both tenants on the nodes of both resource partitions', async () => {
    for (const tenant of scenario.tenants) {
      const pods = await scenario.podsOf(tenant, 'web')
      const used = new Set(pods.map(({ spec }) => spec.nodeName?.split('-')[0]))
      assert.deepEqual([...used].toSorted(), ['rp0', 'rp1'], tenant)
    }
  })

  it('goes on, evicts and repeats nothing, and tells clients no lie, whatever breaks', async (test) => {
    await scenario.breakAtRandom(WINDOWS, (line) => test.diagnostic(line))
  })

  it('refuses writes for want of room, says so, and goes on when there is room again', async () => {
    await hosts.fillDisk('tp1')
    try {
      const metadata = { generateName: 'large-' }
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { filler: 'x'.repeat(100_000) } }
      const request = { method: 'POST', path: '/api/v1/namespaces/default/configmaps', body }
      // What LMDB has freed it can use yet.
      await waitFor('a write to be refused', async () => {
        const answer = await hosts.through<{ message?: string }>('gw0', { tenant: 'acme' }, request)
        // A busy machine's answer may come too late for the gateway.
        if (answer.status === 201 || answer.status === 504) return false
        assert.deepEqual([answer.status, answer.asksAgain], [503, false])
        assert.match(answer.body.message ?? '', /the store has no room left; free some space/)
        return true
      })
      await scenario.stillWorks('beta')
    } finally {
      await hosts.emptyDisk('tp1')
    }
    await scenario.stillWorks('acme')
  })

  it('moves a tenant under its running pods, and back, while it writes', async () => {
    for (const to of ['home', 'tp1'] as const) {
      await scenario.outage(`acme moves to ${to}`, async () => {
        await hosts.mustRun('home', ['tenant', 'move', 'acme', '--to', to])
        scenario.livesAt.acme = to
      })
      await scenario.converged()
      await scenario.stillWorks('acme')
    }
  })

  it('believes nothing of a partition that was set back to an old backup, until an operator does', async () => {
    scenario.load.allNodesRun = false
    await hosts.mustRun('rp0', ['down'])
    await hosts.backUp('rp0')
    await hosts.mustRun('rp0', ['up'])
    await scenario.converged()
    scenario.releasePods()
    const more = REPLICAS + 4
    for (const tenant of scenario.tenants) await scenario.apply(tenant, 'web', more)
    await scenario.keepPods(more)
    await hosts.mustRun('rp0', ['down'])
    await hosts.restore('rp0')
    await hosts.mustRun('rp0', ['up'])
    await waitFor('home to fence rp0', async () => (await scenario.fencedStatus('rp0')) === 'True')
    for (const tenant of scenario.tenants) await scenario.stillWorks(tenant)
    await hosts.mustRun('home', ['partition', 'readmit', 'rp0'])
    await waitFor('rp0 to be believed again', async () => (await scenario.fencedStatus('rp0')) !== 'True')
    for (const tenant of scenario.tenants) await scenario.untilRunning(tenant, 'web', more)
    scenario.releasePods()
    for (const tenant of scenario.tenants) await scenario.apply(tenant, 'web', REPLICAS)
    await scenario.keepPods(REPLICAS)
    await scenario.converged()
    scenario.load.allNodesRun = true
  })

  it('starts no partition on a store that is broken, says what to do, and goes on elsewhere', async () => {
    await hosts.mustRun('tp1', ['down'])
    await hosts.backUp('tp1')
    for (const damage of DAMAGES) {
      await damageStore(hosts.storeOf('tp1'), { damage, another: hosts.backupOf('rp0') })
      const { code, stderr, stdout } = await hosts.centaurus('tp1', ['up'])
      assert.notEqual(code, 0, damage)
      assert.match(stdout + stderr, /restore the directory from a backup|belongs to another partition/, damage)
      await hosts.centaurus('tp1', ['down'])
      await hosts.restore('tp1')
    }
    await scenario.stillWorks('beta')
    await hosts.mustRun('tp1', ['up'])
    await scenario.converged()
  })

  it('has every write that was acknowledged once, and claims that are the bound pods', async (test) => {
    await scenario.check()
    test.diagnostic(scenario.load.describe())
  })
})
