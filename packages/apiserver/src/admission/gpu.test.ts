import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { nodes, pods, type Binding, type Pod } from '@centaurus/api/core/v1'
import { GPU_ALLOCATION_ANNOTATION } from '@centaurus/api/gpu'
import type { Client } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

const ALLOCATION = '{"main":[{"uuid":"GPU-1","memoryMiB":1024}]}'

function podOf(name: string, limits: Record<string, string>, annotations: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace: 'default', annotations },
    spec: { containers: [{ name: 'main', image: 'a', resources: { limits } }] },
  }
}

describe('what a pod asks of GPUs', () => {
  let test: TestServer
  let client: Client
  before(async () => {
    test = await startTestServer()
    client = test.client
  })
  after(() => test.close())

  const bind = (name: string, annotations: Record<string, string>) =>
    client.createSubresource<Binding, unknown>(pods, { namespace: 'default', name }, 'binding', {
      metadata: { name, annotations },
      target: { kind: 'Node', name: 'n1' },
    })
  const isInvalid = (error: unknown): boolean => isStatus(error, 'Invalid')
  const isForbidden = (error: unknown): boolean => isStatus(error, 'Forbidden')

  it('is refused when it means nothing, with everything that is wrong', async () => {
    const wrong = podOf(
      'wrong',
      { 'centaurus.io/gpu-memory': '1024', 'nvidia.com/gpumem': '2048' },
      { 'centaurus.io/gpu-policy': 'best' },
    )
    await assert.rejects(client.create(pods, wrong), (error: Error) => {
      assert.ok(isInvalid(error))
      assert.match(
        error.message,
        /Pod "wrong" is invalid: \[metadata.annotations\[centaurus.io\/gpu-policy\]: .*, spec.containers\[0\]/,
      )
      assert.match(error.message, /says something else than centaurus.io\/gpu-memory \(1024\): leave one of them out/)
      return true
    })
  })

  it('may be said by all names, and its annotations may change to what means something', async () => {
    await client.create(pods, podOf('fine', { 'alnair/vgpu-memory': '1', 'nvidia.com/gpumem': '1024' }))
    const annotate = (policy: string) =>
      client.patch(
        pods,
        { namespace: 'default', name: 'fine' },
        { type: 'merge', body: { metadata: { annotations: { 'centaurus.io/gpu-policy': policy } } } },
      )
    await annotate('spread')
    await assert.rejects(annotate('best'), /must be binpack, spread or topology/)
  })

  it('is answered by bindings alone, in the write of the node’s name', async () => {
    const allocated = { [GPU_ALLOCATION_ANNOTATION]: ALLOCATION }
    await assert.rejects(client.create(pods, podOf('came', {}, allocated)), isForbidden)
    const mirror = podOf('mirrored', {}, { ...allocated, 'kubernetes.io/config.mirror': 'x' })
    const onNode = { ...mirror, spec: { ...mirror.spec!, nodeName: 'n1' } }
    await assert.rejects(client.create(pods, onNode), isForbidden, 'who is no node makes no mirrors')
    const made = await client.create(pods, podOf('free', { 'centaurus.io/gpu-memory': '1024' }))
    const changed = { ...made, metadata: { ...made.metadata, annotations: allocated } }
    await assert.rejects(client.update(pods, changed), /may not be set, changed or removed: the scheduler writes it/)
    await assert.rejects(client.updateStatus(pods, changed), isForbidden)

    await assert.rejects(bind('free', { [GPU_ALLOCATION_ANNOTATION]: '{"main":3}' }), isInvalid)
    await assert.rejects(
      bind('free', { [GPU_ALLOCATION_ANNOTATION]: '{"other":[{"uuid":"GPU-1"}]}' }),
      /names container "other", which the pod does not have/,
    )
    const unbound = await client.get(pods, { namespace: 'default', name: 'free' })
    assert.equal(unbound.spec?.nodeName, undefined, 'nothing of a refused binding is kept')

    await bind('free', allocated)
    const bound = await client.get(pods, { namespace: 'default', name: 'free' })
    assert.equal(bound.spec?.nodeName, 'n1')
    assert.equal(bound.metadata.annotations?.[GPU_ALLOCATION_ANNOTATION], ALLOCATION)
    const { [GPU_ALLOCATION_ANNOTATION]: _, ...rest } = bound.metadata.annotations ?? {}
    const without = { ...bound, metadata: { ...bound.metadata, annotations: rest } }
    await assert.rejects(client.update(pods, without), isForbidden)
    const labelled = await client.update(pods, { ...bound, metadata: { ...bound.metadata, labels: { a: 'b' } } })
    assert.equal(labelled.metadata.annotations?.[GPU_ALLOCATION_ANNOTATION], ALLOCATION)
  })

  it('comes answered in the mirror of a pod that a node made by itself', async () => {
    await client.create(nodes, { metadata: { name: 'n1' } })
    const node = test.server.client({ ...SERVER_USER, name: 'system:node:n1', groups: ['system:nodes'] })
    const annotations = { [GPU_ALLOCATION_ANNOTATION]: ALLOCATION, 'kubernetes.io/config.mirror': 'x' }
    const pod = podOf('static-n1', {}, annotations)
    const made = await node.create(pods, { ...pod, spec: { ...pod.spec!, nodeName: 'n1' } })
    assert.equal(made.metadata.annotations?.[GPU_ALLOCATION_ANNOTATION], ALLOCATION)
  })
})
