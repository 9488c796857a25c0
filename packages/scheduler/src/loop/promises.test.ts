import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import type { ForeignUseChange } from '../core/foreign-use.ts'
import { createClientBinder, type Binder } from './binder.ts'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000
const ROOM = { cpu: 1_000, pods: 1 }

describe('room that the owner of a node keeps for a pod', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  let informers: InformerFactory
  let scheduler: RunningScheduler | undefined
  let tell: (changes: readonly ForeignUseChange[]) => void
  let reachChanged: () => void
  let isAway: boolean
  /** What was asked of the owner of the nodes, in order. */
  let asked: string[]

  beforeEach(async () => {
    asked = []
    isAway = false
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    store = createMemoryStore()
    server = createApiServer({ store, ...deps })
    await server.start()
    client = server.client()
    informers = createInformerFactory(client, deps)
    await client.create(priorityclasses, { metadata: { name: 'high' }, value: 100 })
    await client.create(priorityclasses, { metadata: { name: 'higher' }, value: 200 })
  })
  afterEach(async () => {
    await scheduler?.close()
    await informers.close()
    await server.close()
    await store.close()
  })

  /** `told`: what the owner of the nodes says first. */
  function start(told: readonly ForeignUseChange[]): void {
    const bindings = createClientBinder(client)
    const binder: Binder = {
      async bind(items) {
        asked.push(...items.map(({ pod, nodeName }) => `bind ${pod.metadata.name} ${nodeName}`))
        return bindings.bind(items)
      },
      async preempt({ pod, nodeName }) {
        asked.push(`preempt ${pod.metadata.name} ${nodeName}`)
        return { type: 'nominated', victims: pod.metadata.name === 'top' ? 0 : 1 }
      },
      withdraw(nodeName, uid) {
        const pod = informers
          .informer(pods)
          .list()
          .find(({ metadata }) => metadata.uid === uid)
        asked.push(`withdraw ${pod?.metadata.name} ${nodeName}`)
        // What its owner would say then.
        queueMicrotask(() => tell([{ nodeName, requests: {} }]))
      },
    }
    const foreignUse = {
      subscribe(listener: (changes: readonly ForeignUseChange[]) => void) {
        tell = listener
        listener(told)
        return () => {}
      },
    }
    const reach = {
      isReachable: () => !isAway,
      onChange(listener: () => void) {
        reachChanged = listener
        return () => {}
      },
    }
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    scheduler = startScheduler({ client, informers, binder, foreignUse, reach, ...deps })
  }
  async function eventually<T>(check: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + WAIT_MS
    for (;;) {
      const seen = await check()
      if (seen !== undefined && seen !== false) return seen
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}\n${asked.join('\n')}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  async function addNode(name: string): Promise<void> {
    const node = await client.create(nodes, { metadata: { name } })
    const open = await client.update(nodes, { ...node, spec: {} })
    await client.updateStatus(nodes, { ...open, status: { allocatable: { cpu: '1', memory: '1Gi', pods: '10' } } })
  }
  function createPod(name: string, priorityClassName = 'high'): Promise<Stored<Pod>> {
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '1' } } }]
    return client.create(pods, { metadata: { name, namespace: 'default' }, spec: { containers, priorityClassName } })
  }
  const podOf = (name: string): Promise<Stored<Pod>> => client.get(pods, { namespace: 'default', name })
  const boundTo = (name: string) => async (): Promise<string | undefined> => (await podOf(name)).spec?.nodeName
  const isRefused = (name: string, why: string) => async (): Promise<boolean> => {
    const { status } = await podOf(name)
    return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message?.includes(why) === true
  }

  it('is not taken by others when a scheduler starts that did not ask for it', async () => {
    await addNode('a')
    await createPod('older')
    const { metadata } = await createPod('promised')
    start([{ nodeName: 'a', requests: {}, nominated: [metadata.uid] }])
    assert.equal(await eventually(boundTo('promised')), 'a')
    await eventually(isRefused('older', 'Insufficient cpu'))
    await eventually(async () => asked.includes('withdraw promised a'))
    assert.deepEqual(asked, ['bind promised a', 'withdraw promised a'])
  })

  it('is not taken by others after the pod was tried while its partition was away', async () => {
    await addNode('a')
    start([{ nodeName: 'a', requests: ROOM }])
    const { metadata } = await createPod('promised')
    await eventually(async () => asked.includes('preempt promised a'))
    isAway = true
    reachChanged()
    tell([{ nodeName: 'a', requests: {}, nominated: [metadata.uid] }])
    await eventually(isRefused('promised', 'could not be reached'))
    await createPod('younger')
    await eventually(isRefused('younger', 'could not be reached'))
    isAway = false
    reachChanged()
    assert.equal(await eventually(boundTo('promised')), 'a')
    await eventually(isRefused('younger', 'Insufficient cpu'))
    assert.ok(!asked.includes('bind younger a'), asked.join('\n'))
  })

  it('is where the pod goes, though others have room', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await addNode(name)
    const { metadata } = await createPod('promised')
    start([{ nodeName: 'c', requests: {}, nominated: [metadata.uid] }])
    assert.equal(await eventually(boundTo('promised')), 'c')
  })

  it('is given up for a more important pod', async () => {
    await addNode('a')
    const { metadata } = await createPod('promised')
    await createPod('top', 'higher')
    start([{ nodeName: 'a', requests: {}, nominated: [metadata.uid] }])
    assert.equal(await eventually(boundTo('top')), 'a')
    await eventually(isRefused('promised', 'Insufficient cpu'))
    assert.deepEqual(asked.slice(0, 3), ['withdraw promised a', 'preempt top a', 'bind top a'])
    assert.equal((await podOf('promised')).spec?.nodeName, undefined)
  })
})
