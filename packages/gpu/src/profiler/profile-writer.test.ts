import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { createManualClock, silentLogger, type Logger } from '@centaurus/base'
import type { KnownContainer } from '../containers/shares-of-pods.ts'
import { NODE_NAME, startTestCluster, type TestCluster } from '../testing/cluster.ts'
import { planAnnotation, type ContainerProfile } from './core/profile-annotation.ts'
import { createProfileWriter } from './profile-writer.ts'

const PROFILE: ContainerProfile = { kind: 'training', periodSeconds: 20, memoryMiB: 10_240, compute: 40 }

describe('planAnnotation', () => {
  it('says what is new or notably different, and leaves other containers', () => {
    const text = planAnnotation(undefined, 'a', PROFILE)!
    assert.deepEqual(JSON.parse(text), { a: PROFILE })
    for (const same of [{}, { periodSeconds: 23 }, { memoryMiB: 11_000 }, { compute: 45 }])
      assert.equal(planAnnotation(text, 'a', { ...PROFILE, ...same }), undefined)
    for (const other of [
      { kind: 'idle' as const },
      { periodSeconds: 30 },
      { memoryMiB: 12_288 },
      { compute: 50 },
      { compute: undefined },
    ])
      assert.notEqual(planAnnotation(text, 'a', { ...PROFILE, ...other }), undefined)
    assert.deepEqual(JSON.parse(planAnnotation(text, 'b', { kind: 'idle' })!), { a: PROFILE, b: { kind: 'idle' } })
    for (const garbage of ['{{', '7', 'null', '[]'])
      assert.deepEqual(JSON.parse(planAnnotation(garbage, 'a', PROFILE)!), { a: PROFILE })
  })
})

describe('createProfileWriter', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await startTestCluster()
    await cluster.client.create(nodes, { metadata: { name: NODE_NAME } })
  })
  after(() => cluster.close())

  it('annotates the pod as its node, no more often than every ten minutes', async () => {
    const clock = createManualClock()
    const warnings: string[] = []
    const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message) }
    const write = createProfileWriter({ client: cluster.client, clock, logger })
    const name = { namespace: 'default', name: 'p' }
    await cluster.createPod('p', {
      train: [{ uuid: 'GPU-00000000-0000-0000-0000-000000000001', memoryMiB: 9, compute: 9 }],
    })
    const known = async (): Promise<KnownContainer> => {
      const pod = await cluster.admin.get(pods, name)
      return { pod, container: 'train', grants: [], priority: 0, state: 'active' }
    }
    const said = async (): Promise<unknown> =>
      JSON.parse((await cluster.admin.get(pods, name)).metadata.annotations?.['centaurus.io/gpu-profile'] ?? 'null')
    await write(await known(), PROFILE)
    assert.deepEqual(await said(), { train: PROFILE })
    await write(await known(), { kind: 'idle' })
    assert.deepEqual(await said(), { train: PROFILE })
    await clock.advance(600_000)
    await write(await known(), { kind: 'idle' })
    assert.deepEqual(await said(), { train: { kind: 'idle' } })
    assert.deepEqual(warnings, [])
  })

  it('only logs that a pod is gone', async () => {
    const warnings: string[] = []
    const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message) }
    const write = createProfileWriter({ client: cluster.client, clock: createManualClock(), logger })
    const pod = { metadata: { namespace: 'default', name: 'gone', uid: 'u' } }
    await write({ pod, container: 'c', grants: [], priority: 0, state: 'active' }, PROFILE)
    assert.deepEqual(warnings, ['Could not write the profile of a pod'])
  })
})
