import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { nodes, pods } from '@centaurus/api/core/v1'
import { createManualClock, type ManualClock } from '@centaurus/base'
import type { RunningController } from '@centaurus/client'
import { startPodGarbageCollector } from '../pod-garbage-collector/reconcile.ts'
import { startPodReadinessController } from '../pod-readiness/reconcile.ts'
import { startTaintEvictionController } from '../taint-eviction/reconcile.ts'
import { startControlPlane, type ControlPlane, type TestDeps } from '../testing/control-plane.ts'
import { AUTHORITY_RECHECK_MS, type NodeAuthority } from './node-authority.ts'

const QUARANTINE_MS = 40_000

describe('controllers beside a partition that cannot be asked', () => {
  let plane: ControlPlane
  let clock: ManualClock
  let running: RunningController
  let reachable: ReadonlySet<string>
  const nodeAuthority: NodeAuthority = {
    isAuthoritative: (partition) => partition !== undefined && reachable.has(partition),
    isNodeGone: async (name) => name === 'gone',
  }

  const begin = async (start: (deps: TestDeps) => RunningController): Promise<void> => {
    plane = await startControlPlane({
      controllers: [(deps) => (running = start({ ...deps, clock, nodeAuthority }))],
    })
  }
  beforeEach(() => {
    clock = createManualClock()
    reachable = new Set(['rp2'])
  })
  afterEach(() => plane.close())

  const create = async (name: string, partition: string, nodeName: string): Promise<void> => {
    const metadata = { name, namespace: 'default', annotations: { [RESOURCE_PARTITION_ANNOTATION]: partition } }
    const pod = await plane.client.create(pods, {
      metadata,
      spec: { nodeName, containers: [{ name: 'c', image: 'i' }] },
    })
    const conditions = [{ type: 'Ready', status: 'True' }]
    await plane.client.updateStatus(pods, { ...pod, status: { phase: 'Running', conditions } })
    await plane.eventually(
      async () => plane.informers.informer(pods).get(`default/${name}`)?.status?.phase === 'Running',
    )
  }
  const isThere = async (name: string): Promise<boolean> => {
    const { items } = await plane.client.list(pods, { namespace: 'default' })
    return items.some(({ metadata }) => metadata.name === name && metadata.deletionTimestamp === undefined)
  }
  /** Long enough for everything that a controller might do by itself. */
  const passTime = async (): Promise<void> => {
    for (const ms of [QUARANTINE_MS, AUTHORITY_RECHECK_MS, AUTHORITY_RECHECK_MS]) {
      await clock.advance(ms)
      await plane.eventually(async () => running.queue.isIdle())
    }
  }

  it('collect the orphans of other partitions, and its own only when it can be asked again', async () => {
    await begin(startPodGarbageCollector)
    await create('cut-off', 'rp1', 'gone')
    await create('orphan', 'rp2', 'gone')
    await create('fine', 'rp2', 'there')
    await passTime()
    await plane.eventually(async () => !(await isThere('orphan')))
    assert.deepEqual([await isThere('cut-off'), await isThere('fine')], [true, true])
    reachable = new Set(['rp1', 'rp2'])
    await passTime()
    await plane.eventually(async () => !(await isThere('cut-off')))
    assert.equal(await isThere('fine'), true)
  })

  it('evict from the nodes of other partitions, and from its own only when it can be asked again', async () => {
    await begin(startTaintEvictionController)
    for (const name of ['a', 'b']) await plane.client.create(nodes, { metadata: { name } })
    await create('cut-off', 'rp1', 'a')
    await create('evicted', 'rp2', 'b')
    const body = { spec: { taints: [{ key: 'broken', effect: 'NoExecute' }] } }
    for (const name of ['a', 'b']) await plane.client.patch(nodes, { name }, { type: 'merge', body })
    await plane.eventually(async () => !(await isThere('evicted')))
    await passTime()
    assert.equal(await isThere('cut-off'), true)
    reachable = new Set(['rp1', 'rp2'])
    await passTime()
    await plane.eventually(async () => !(await isThere('cut-off')))
  })

  it('take readiness from pods of silent nodes only on the word of their partition', async () => {
    await begin(startPodReadinessController)
    const readyOf = async (name: string): Promise<string | undefined> => {
      const { status } = await plane.client.get(pods, { namespace: 'default', name })
      return status?.conditions?.find(({ type }) => type === 'Ready')?.status
    }
    await create('cut-off', 'rp1', 'n')
    await create('silent', 'rp2', 'n')
    const node = await plane.client.create(nodes, { metadata: { name: 'n' } })
    await plane.client.updateStatus(nodes, { ...node, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } })
    await plane.eventually(async () => (await readyOf('silent')) === 'False')
    await passTime()
    assert.equal(await readyOf('cut-off'), 'True')
    reachable = new Set(['rp1'])
    await passTime()
    await plane.eventually(async () => (await readyOf('cut-off')) === 'False')
  })
})
