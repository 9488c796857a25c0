import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger, type ManualClock } from '@centaurus/base'
import type { NodeAgent } from '@centaurus/node'
import { createMemoryClient, type MemoryClient } from '@centaurus/node/testing'

import { createSimulatedNode } from './simulated-node.ts'

describe('a simulated node', () => {
  let client: MemoryClient
  let clock: ManualClock
  let agent: NodeAgent

  before(async () => {
    client = createMemoryClient()
    clock = createManualClock()
    agent = createSimulatedNode({
      client,
      clock,
      random: createSeededRandom(1),
      logger: silentLogger,
      nodeName: 'sim-0',
    })
    await agent.start()
  })
  after(() => agent.close())

  async function create(
    name: string,
    annotations: Record<string, string>,
    spec: Partial<NonNullable<Pod['spec']>> = {},
  ): Promise<void> {
    await client.create(pods, {
      metadata: { name, namespace: 'default', annotations },
      spec: { nodeName: 'sim-0', containers: [{ name: 'main', image: 'nginx' }], ...spec },
    })
  }

  /** Moves time on in small steps until the pod is so. */
  async function waitFor(name: string, check: (pod: Pod) => boolean): Promise<Pod> {
    for (let i = 0; i < 400; i++) {
      const pod = await client.get(pods, { namespace: 'default', name })
      if (check(pod)) return pod
      await clock.advance(100)
      await new Promise(setImmediate)
    }
    throw new Error(JSON.stringify((await client.get(pods, { namespace: 'default', name })).status))
  }

  it('says that it is simulated', async () => {
    const node = await client.get(nodes, { name: 'sim-0' })
    assert.equal(node.metadata.labels?.['centaurus.io/simulated'], 'true')
    assert.equal(node.status?.nodeInfo?.containerRuntimeVersion, 'simulated://1')
    assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
  })

  it('runs a pod', async () => {
    await create('web', {})
    const pod = await waitFor(
      'web',
      ({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True',
    )
    assert.equal(pod.status?.phase, 'Running')
    assert.match(pod.status?.podIP ?? '', /^10\.128\.0\./)
  })

  it('ends a task with the exit code that its annotation names', async () => {
    await create(
      'task',
      { 'simulation.centaurus.io/exit-code': '3', 'simulation.centaurus.io/run-seconds': '2' },
      { restartPolicy: 'Never' },
    )
    const pod = await waitFor('task', ({ status }) => status?.phase === 'Failed')
    assert.equal(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3)
  })

  it('restarts a crashing service with back-off', async () => {
    await create('crash', { 'simulation.centaurus.io/exit-code': '1' })
    const pod = await waitFor(
      'crash',
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff',
    )
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 1)
    await waitFor('crash', ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2)
  })

  it('becomes ready when its annotation says so', async () => {
    const container = { name: 'main', image: 'nginx', readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 } }
    await create('slow', { 'simulation.centaurus.io/ready-after': '5' }, { containers: [container] })
    const running = await waitFor('slow', ({ status }) => status?.phase === 'Running')
    assert.equal(running.status?.containerStatuses?.[0]?.ready, false)
    await waitFor('slow', ({ status }) => status?.containerStatuses?.[0]?.ready === true)
  })

  it('runs init containers first, to their end', async () => {
    await create(
      'staged',
      {},
      {
        initContainers: [
          { name: 'one', image: 'a' },
          { name: 'two', image: 'b' },
        ],
      },
    )
    const pod = await waitFor('staged', ({ status }) => status?.phase === 'Running')
    assert.deepEqual(
      pod.status?.initContainerStatuses?.map(({ state }) => state?.terminated?.reason),
      ['Completed', 'Completed'],
    )
  })

  it('removes a deleted pod', async () => {
    client.deleteGracefully(pods, { namespace: 'default', name: 'web' }, 1)
    for (let i = 0; i < 100 && agent.findPod('default', 'web') !== undefined; i++) {
      await clock.advance(100)
      await new Promise(setImmediate)
    }
    await assert.rejects(client.get(pods, { namespace: 'default', name: 'web' }))
    assert.equal(agent.findPod('default', 'web'), undefined)
  })
})
