import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container, PodSpec } from '../../generated/types/core/v1.ts'
import { gpuRolesOf } from './roles.ts'
import { gpuUseOf, summedRequests } from './use.ts'

const container = (name: string, limits: Record<string, string>, restartPolicy?: string): Container => ({
  name,
  image: 'a',
  resources: { limits, requests: limits },
  ...(restartPolicy === undefined ? {} : { restartPolicy }),
})

describe('what a pod uses of devices', () => {
  const spec: PodSpec = {
    initContainers: [container('init', {}), container('side', {}, 'Always')],
    containers: [container('a', {}), container('b', {})],
  }

  it('is the sum of what runs together, or what comes before it', () => {
    const allocation = {
      init: [{ uuid: 'GPU-1', memoryMiB: 900, compute: 10 }],
      side: [{ uuid: 'GPU-1', memoryMiB: 50 }],
      a: [{ uuid: 'GPU-1', memoryMiB: 300, compute: 20 }, { uuid: 'GPU-2' }],
      b: [{ uuid: 'GPU-1', memoryMiB: 400, compute: 30 }],
    }
    assert.deepEqual(gpuUseOf(allocation, gpuRolesOf(spec)), [
      { uuid: 'GPU-1', memoryMiB: 950, compute: 50 },
      { uuid: 'GPU-2' },
    ])
    assert.deepEqual(gpuUseOf({ a: [{ uuid: 'GPU-1', memoryMiB: 1 }], init: [{ uuid: 'GPU-1' }] }, gpuRolesOf(spec)), [
      { uuid: 'GPU-1' },
    ])
  })

  it('is no sum over a node, but for whole GPUs', () => {
    const of = (...containers: Container[]) => summedRequests({ containers })
    assert.deepEqual(of(container('a', { cpu: '1', 'nvidia.com/gpu': '2' })), { cpu: 1000, 'nvidia.com/gpu': 2 })
    const share = { cpu: '1', 'nvidia.com/gpu': '2', 'nvidia.com/gpumem': '1024', 'nvidia.com/priority': '1' }
    assert.deepEqual(of(container('a', share)), { cpu: 1000 })
    assert.deepEqual(of(container('a', share), container('b', { 'nvidia.com/gpu': '1' })), {
      cpu: 1000,
      'nvidia.com/gpu': 1,
    })
    assert.deepEqual(of(container('a', { 'centaurus.io/gpu-compute': '100' })), { 'nvidia.com/gpu': 1 })
    const twice = { 'nvidia.com/gpumem': '1', 'centaurus.io/gpu-memory': '2', 'nvidia.com/gpu': '1' }
    assert.deepEqual(of(container('a', twice)), { 'nvidia.com/gpu': 1 }, 'what means nothing counts as the most')
  })
})
