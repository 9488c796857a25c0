import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Container } from '@centaurus/api/core/v1'
import { formatAmount, queuedRequestsOf, readAmount, readAmounts } from './requests.ts'

function requestsOf(...containers: (Partial<Container> & { init?: boolean })[]): Record<string, string> {
  const made = containers.map(({ resources = {} }, i) => ({ name: `c${i}`, image: 'x', resources }))
  return queuedRequestsOf(undefined, {
    containers: made.filter((_, i) => containers[i]!.init !== true),
    initContainers: made.filter((_, i) => containers[i]!.init === true),
  })
}

const limits = (list: Record<string, string>): Partial<Container> => ({ resources: { limits: list } })

describe('what quota a pod takes', () => {
  it('is what a node must have free for it, by limits where nothing else is said', () => {
    const requests = requestsOf(
      { resources: { requests: { cpu: '1500m' }, limits: { cpu: '4', memory: '2Gi' } } },
      limits({ cpu: '500m' }),
      { init: true, ...limits({ memory: '3Gi' }) },
    )
    assert.deepEqual(requests, { cpu: '2', memory: '3Gi', pods: '1' })
  })

  it('is GPUs by our names, of all devices together', () => {
    assert.deepEqual(requestsOf(limits({ 'nvidia.com/gpu': '2' })), {
      'nvidia.com/gpu': '2',
      'centaurus.io/gpu-compute': '200',
      pods: '1',
    })
    const share = { 'nvidia.com/gpu': '2', 'nvidia.com/gpumem': '4096', 'nvidia.com/gpucores': '30' }
    assert.deepEqual(requestsOf(limits(share), limits({ 'alnair/vgpu-memory': '1' })), {
      'nvidia.com/gpu': '3',
      'centaurus.io/gpu-memory': '9216',
      'centaurus.io/gpu-compute': '60',
      pods: '1',
    })
    const init = { init: true, ...limits({ 'nvidia.com/gpu': '1' }) }
    assert.deepEqual(requestsOf(init, limits({ 'nvidia.com/gpu': '1' }))['nvidia.com/gpu'], '1')
  })

  it('is read and written without loss', () => {
    for (const [resource, text] of [
      ['cpu', '1500m'],
      ['cpu', '12'],
      ['memory', '3Gi'],
      ['memory', '513Mi'],
      ['memory', '1000'],
      ['nvidia.com/gpu', '8'],
    ] as const)
      assert.equal(formatAmount(resource, readAmount(resource, text)), text)
    assert.deepEqual([...readAmounts({ cpu: '0', memory: '1Ki' })], [['memory', 1024]])
  })
})
