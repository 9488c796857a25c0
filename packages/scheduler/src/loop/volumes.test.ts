import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import {
  events,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  type PersistentVolumeClaim,
} from '@centaurus/api/core/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000
const SELECTED = 'volume.kubernetes.io/selected-node'

describe('pods with claims on a real API server', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  let informers: InformerFactory
  let scheduler: RunningScheduler

  before(async () => {
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    store = createMemoryStore()
    server = createApiServer({ store, ...deps })
    await server.start()
    client = server.client()
    informers = createInformerFactory(client, deps)
    scheduler = startScheduler({ client, informers, ...deps })
    for (const name of ['late', 'static']) {
      const provisioner = name === 'late' ? 'example.com/x' : 'kubernetes.io/no-provisioner'
      await client.create(storageclasses, {
        metadata: { name },
        provisioner,
        volumeBindingMode: 'WaitForFirstConsumer',
      })
    }
    const node = await client.create(nodes, { metadata: { name: 'n1', labels: { zone: '1' } } })
    const open = await client.update(nodes, { ...node, spec: {} })
    await client.updateStatus(nodes, { ...open, status: { allocatable: { cpu: '4', memory: '8Gi', pods: '10' } } })
  })
  after(async () => {
    await scheduler.close()
    await informers.close()
    await server.close()
    await store.close()
  })

  const at = (name: string) => ({ namespace: 'default', name })

  async function eventually<T>(check: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + WAIT_MS
    for (;;) {
      const seen = await check()
      if (seen !== undefined && seen !== false) return seen
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async function createPod(name: string, claimName: string, storageClassName: string): Promise<void> {
    const resources = { requests: { storage: '1Gi' } }
    await client.create(persistentvolumeclaims, {
      metadata: at(claimName),
      spec: { accessModes: ['ReadWriteOnce'], storageClassName, resources },
    })
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName } }]
    await client.create(pods, {
      metadata: at(name),
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x' }], volumes },
    })
  }

  const nodeOf = async (name: string): Promise<string | undefined> => (await client.get(pods, at(name))).spec?.nodeName

  async function selected(name: string): Promise<PersistentVolumeClaim> {
    return eventually(async () => {
      const claim = await client.get(persistentvolumeclaims, at(name))
      return claim.metadata.annotations?.[SELECTED] === 'n1' && claim
    })
  }

  /** Plays the provisioner and the binder. */
  async function bind(name: string, volumeName: string): Promise<void> {
    const claim = await client.get(persistentvolumeclaims, at(name))
    const spec = { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, hostPath: { path: '/x' } }
    await client.create(persistentvolumes, { metadata: { name: volumeName }, spec }).catch(() => {})
    const bound = await client.update(persistentvolumeclaims, { ...claim, spec: { ...claim.spec, volumeName } })
    await client.updateStatus(persistentvolumeclaims, { ...bound, status: { phase: 'Bound' } })
  }

  it('selects a node for the claim, and binds the pod when the volume is there; others need not wait', async () => {
    await createPod('first', 'a', 'late')
    await selected('a')
    await client.create(pods, { metadata: at('plain'), spec: { containers: [{ name: 'c', image: 'x' }] } })
    await eventually(() => nodeOf('plain'))
    assert.equal(await nodeOf('first'), undefined)
    await bind('a', 'va')
    assert.equal(await eventually(() => nodeOf('first')), 'n1')
  })

  it('tries again when the provisioner gives the node back', async () => {
    await createPod('second', 'b', 'late')
    await selected('b')
    await client.patch(persistentvolumeclaims, at('b'), {
      type: 'merge',
      body: { metadata: { annotations: { [SELECTED]: null } } },
    })
    await eventually(async () => {
      const { items } = await client.list(events, { namespace: 'default' })
      return items.some(
        ({ involvedObject, message }) =>
          involvedObject.name === 'second' && /binding volumes: provisioning failed for PVC "b"/.test(message ?? ''),
      )
    })
    await selected('b')
    await bind('b', 'vb')
    assert.equal(await eventually(() => nodeOf('second')), 'n1')
  })

  it('reserves a volume that exists, and says when there is none', async () => {
    await createPod('third', 'c', 'static')
    const message = await eventually(async () => {
      const { status } = await client.get(pods, at('third'))
      return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message
    })
    assert.match(message, /^0\/1 nodes are available: 1 node\(s\) didn't find available persistent volumes to bind\./)
    const term = { matchExpressions: [{ key: 'zone', operator: 'In', values: ['1'] }] }
    await client.create(persistentvolumes, {
      metadata: { name: 'here' },
      spec: {
        storageClassName: 'static',
        accessModes: ['ReadWriteOnce'],
        capacity: { storage: '2Gi' },
        local: { path: '/x' },
        nodeAffinity: { required: { nodeSelectorTerms: [term] } },
      },
    })
    await eventually(async () => {
      const { spec } = await client.get(persistentvolumes, { name: 'here' })
      return spec?.claimRef?.name === 'c'
    })
    await bind('c', 'here')
    assert.equal(await eventually(() => nodeOf('third')), 'n1')
  })

  it('forgets a pod that is deleted while it waits', async () => {
    await createPod('fourth', 'd', 'late')
    await selected('d')
    await client.delete(pods, at('fourth'), { gracePeriodSeconds: 0 })
    await eventually(async () => scheduler.pendingPods === 0)
  })
})
