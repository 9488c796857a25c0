import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createManualClock, type ManualClock } from '@centaurus/base'
import type { Client, RunningController } from '@centaurus/client'
import { serviceUnavailable } from '@centaurus/api'
import { leases } from '@centaurus/api/coordination/v1'
import { events, nodes, pods, type Node } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startPodReadinessController } from '../pod-readiness/reconcile.ts'
import { startNodeLifecycleController } from './reconcile.ts'

const PERIOD_MS = 5_000
const LEASES = 'kube-node-lease'

describe('node lifecycle on a real API server', () => {
  let plane: ControlPlane
  let clock: ManualClock
  let controller: RunningController
  let renewals = 0
  /** For how long the controller's process was frozen. */
  let frozenMs = 0
  let isStoreFull = false

  before(async () => {
    clock = createManualClock()
    const ownClock = { ...clock, monotonicMs: () => clock.monotonicMs() + frozenMs }
    plane = await startControlPlane({
      controllers: [
        (deps) => {
          const client = refusing(deps.client, () => isStoreFull)
          return (controller = startNodeLifecycleController({ ...deps, client, clock: ownClock }))
        },
        startPodReadinessController,
      ],
    })
  })
  after(() => plane.close())

  const read = (name: string): Promise<Node> => plane.client.get(nodes, { name })
  const taintsOf = async (name: string): Promise<string[]> =>
    ((await read(name)).spec?.taints ?? []).map(({ key, effect }) => `${key.split('/')[1]}:${effect}`)
  const readyOf = async (name: string): Promise<string | undefined> =>
    (await read(name)).status?.conditions?.find(({ type }) => type === 'Ready')?.status

  const post = (name: string, status: string): Promise<unknown> => {
    const condition = { type: 'Ready', status, lastHeartbeatTime: new Date(clock.now()).toISOString() }
    const patch = { type: 'strategic', body: { status: { conditions: [condition] } } } as const
    return plane.client.patch(nodes, { name }, patch, { subresource: 'status' })
  }
  const register = async (name: string): Promise<void> => {
    const labels = { 'kubernetes.io/os': 'linux' }
    await plane.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })
    const metadata = { name, namespace: LEASES }
    await plane.client.create(leases, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: {} })
    await post(name, 'True')
    await plane.eventually(async () => (await taintsOf(name)).length === 0)
  }
  const renew = async (name: string): Promise<void> => {
    const renewTime = `2026-01-01T00:00:00.${String(++renewals).padStart(6, '0')}Z`
    const patch = { type: 'merge', body: { spec: { renewTime } } } as const
    const { metadata } = await plane.client.patch(leases, { namespace: LEASES, name }, patch)
    const cache = plane.informers.informer(leases, { namespace: LEASES })
    const key = `${LEASES}/${name}`
    await plane.eventually(async () => cache.get(key)?.metadata.resourceVersion === metadata.resourceVersion)
  }
  /** Time goes on in monitor periods, while these nodes live. */
  const live = async (periods: number, names: readonly string[]): Promise<void> => {
    for (let i = 0; i < periods; i++) {
      for (const name of names) await renew(name)
      await clock.advance(PERIOD_MS)
      await plane.eventually(async () => controller.queue.isIdle())
    }
  }

  it('opens a node that is ready, and tells that it knows it', async () => {
    for (const name of ['a', 'b', 'c']) await register(name)
    assert.equal((await read('a')).metadata.labels?.['beta.kubernetes.io/os'], 'linux')
    await live(1, ['a', 'b', 'c'])
    await plane.eventually(async () => {
      const { items } = await plane.client.list(events, { namespace: 'default' })
      return items.some(({ message }) => message === 'Node a event: Registered Node a in Controller')
    })
  })

  it('calls a silent node unknown, closes it, and takes readiness from its pods', async () => {
    const metadata = { name: 'p', namespace: 'default' }
    const spec = { nodeName: 'b', containers: [{ name: 'c', image: 'i' }] }
    const pod = await plane.client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec })
    const conditions = [{ type: 'Ready', status: 'True' }]
    await plane.client.updateStatus(pods, { ...pod, status: { phase: 'Running', conditions } })
    await live(9, ['a', 'c'])
    assert.equal(await readyOf('b'), 'True')
    await live(3, ['a', 'c'])
    await plane.eventually(async () => (await readyOf('b')) === 'Unknown')
    assert.deepEqual([await readyOf('a'), await readyOf('c')], ['True', 'True'])
    await live(1, ['a', 'c'])
    await plane.eventually(async () => (await taintsOf('b')).includes('unreachable:NoExecute'))
    assert.ok((await taintsOf('b')).includes('unreachable:NoSchedule'))
    await plane.eventually(async () => {
      const { status } = await plane.client.get(pods, metadata)
      return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'False'
    })
  })

  it('changes the taints of a node that says it is not ready, and takes them back when it is', async () => {
    await post('b', 'False')
    await plane.eventually(async () => (await taintsOf('b')).includes('not-ready:NoExecute'))
    assert.equal((await taintsOf('b')).length, 2)
    await post('b', 'True')
    await plane.eventually(async () => (await taintsOf('b')).length === 0)
  })

  it('keeps pods off a node that is cordoned', async () => {
    const patch = (unschedulable: boolean): Promise<unknown> =>
      plane.client.patch(nodes, { name: 'a' }, { type: 'merge', body: { spec: { unschedulable } } })
    await patch(true)
    await plane.eventually(async () => (await taintsOf('a')).join() === 'unschedulable:NoSchedule')
    await patch(false)
    await plane.eventually(async () => (await taintsOf('a')).length === 0)
  })

  it('takes the time in which it was frozen for nobody’s silence', async () => {
    const names = ['a', 'b', 'c']
    await live(1, names)
    frozenMs += 75_000
    await live(1, [])
    for (const name of names) assert.deepEqual([await readyOf(name), await taintsOf(name)], ['True', []], name)
    await live(8, ['a', 'c'])
    assert.equal(await readyOf('b'), 'True')
    await live(3, ['a', 'c'])
    await plane.eventually(async () => (await readyOf('b')) === 'Unknown')
    await post('b', 'True')
    await plane.eventually(async () => (await taintsOf('b')).length === 0)
  })

  it('calls nobody silent who could not have been heard, because nothing could be written', async () => {
    const names = ['a', 'b', 'c']
    await live(1, names)
    isStoreFull = true
    await live(13, [])
    isStoreFull = false
    await live(1, [])
    for (const name of names) assert.deepEqual([await readyOf(name), await taintsOf(name)], ['True', []], name)
    await live(1, names)
  })

  it('evicts nobody when all nodes fall silent, and gives all new time when one is back', async () => {
    await live(12, [])
    for (const name of ['a', 'b', 'c']) await plane.eventually(async () => (await readyOf(name)) === 'Unknown')
    await live(6, [])
    for (const name of ['a', 'b', 'c']) {
      await plane.eventually(async () => (await taintsOf(name)).join() === 'unreachable:NoSchedule')
    }
    await post('a', 'True')
    await live(4, ['a'])
    await plane.eventually(async () => (await taintsOf('a')).length === 0)
    await live(3, ['a'])
    await plane.eventually(async () => (await taintsOf('b')).includes('unreachable:NoExecute'))
  })
})

/** A client whose status writes are refused while `isFull` says so. */
function refusing(client: Client, isFull: () => boolean): Client {
  const updateStatus: Client['updateStatus'] = async (...args) => {
    if (isFull()) throw serviceUnavailable('the store has no room left')
    return client.updateStatus(...args)
  }
  return new Proxy(client, {
    get: (target, name) => (name === 'updateStatus' ? updateStatus : bound(target, name)),
  })
}

function bound(target: Client, name: string | symbol): unknown {
  const member = Reflect.get(target, name) as unknown
  return typeof member === 'function' ? (member.bind(target) as unknown) : member
}
