import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Container, Pod } from '../../generated/types/core/v1.ts'
import { FieldPath } from '../../status/field-error.ts'
import { isGpuModel, whyNotGpu } from './constraints.ts'
import { GPU, GPU_SHARE_RESOURCES } from './names.ts'
import { gpuRequestsOf } from './pod-request.ts'
import { gpuRequestOf, type GpuRequest } from './request.ts'

const PATH = new FieldPath('spec').child('containers').index(0)

function containerOf(limits: Record<string, string>, name = 'train'): Container {
  return { name, image: 'a', resources: { limits } }
}

function read(limits: Record<string, string>): GpuRequest | string | undefined {
  const { request, errors } = gpuRequestOf(containerOf(limits), PATH)
  return errors.length > 0 ? errors.map(({ field, message }) => `${field}: ${message}`).join('\n') : request
}

const podOf = (
  containers: Container[],
  annotations: Record<string, string> = {},
  initContainers: Container[] = [],
): Pod => ({
  metadata: { name: 'a', annotations },
  spec: { containers, initContainers },
})

describe('what a container asks for', () => {
  it('is whole GPUs, or so much of each', () => {
    assert.equal(read({ cpu: '1' }), undefined)
    assert.equal(read({ [GPU]: '0' }), undefined)
    assert.equal(read({ 'centaurus.io/gpu-memory': '0' }), undefined)
    assert.deepEqual(read({ [GPU]: '4' }), { count: 4 })
    assert.deepEqual(read({ 'centaurus.io/gpu-memory': '10240' }), { count: 1, memoryMiB: 10_240 })
    assert.deepEqual(read({ 'centaurus.io/gpu-memory': '10k', 'centaurus.io/gpu-compute': '40', [GPU]: '2' }), {
      count: 2,
      memoryMiB: 10_000,
      compute: 40,
    })
    assert.deepEqual(read({ 'centaurus.io/gpu-compute': '30' }), { count: 1, memoryPercent: 30, compute: 30 })
    assert.deepEqual(read({ 'centaurus.io/gpu-compute': '100', [GPU]: '2' }), { count: 2 })
    assert.deepEqual(read({ 'nvidia.com/gpumem-percentage': '100' }), { count: 1, memoryPercent: 100 })
    assert.deepEqual(read({ 'nvidia.com/gpumem-percentage': '100', 'nvidia.com/gpucores': '100' }), { count: 1 })
  })

  it('has names that others gave it', () => {
    const expected = { count: 1, memoryMiB: 8_192, compute: 50 }
    assert.deepEqual(read({ 'nvidia.com/gpumem': '8192', 'nvidia.com/gpucores': '50' }), expected)
    assert.deepEqual(read({ 'alnair/vgpu-memory': '8', 'alnair/vgpu-compute': '50' }), expected)
    assert.deepEqual(
      read({ 'alnair/vgpu-memory': '8', 'nvidia.com/gpumem': '8192', 'nvidia.com/gpucores': '50' }),
      expected,
    )
    assert.deepEqual(read({ [GPU]: '1', 'nvidia.com/priority': '0' }), { count: 1, priority: 0 })
    const { request } = gpuRequestOf({ name: 'a', resources: { requests: { [GPU]: '2' } } }, PATH)
    assert.deepEqual(request, { count: 2 })
  })

  it('is refused when it means nothing, with what to do', () => {
    const memory = 'centaurus.io/gpu-memory'
    const compute = 'centaurus.io/gpu-compute'
    for (const [limits, why] of [
      [
        { [memory]: '10Gi' },
        /limits\[centaurus.io\/gpu-memory\]: Invalid value: "10Gi": must be a whole number of MiB, .* "10240" for 10 GiB/,
      ],
      [{ [memory]: '500m' }, /must be a whole number of MiB/],
      [{ [memory]: '-5' }, /must be a whole number of MiB/],
      [{ [memory]: 'much' }, /must be a whole number of MiB/],
      [
        { [compute]: '200' },
        /must be a whole number of percent of each GPU, at most 100; nvidia.com\/gpu says how many/,
      ],
      [{ [GPU]: '0.5' }, /must be a whole number of GPUs, .* parts of one by centaurus.io\/gpu-memory/],
      [
        { [GPU]: '0', [memory]: '1024' },
        /limits\[nvidia.com\/gpu\]: Invalid value: 0: must be 1 or more beside centaurus.io\/gpu-memory/,
      ],
      [
        { [memory]: '1024', 'nvidia.com/gpumem': '2048' },
        /gpumem\]: .* says something else than centaurus.io\/gpu-memory \(1024\): leave one/,
      ],
      [
        { 'alnair/vgpu-memory': '1', 'nvidia.com/gpumem': '1025' },
        /vgpu-memory\]: .* than nvidia.com\/gpumem \(1025\)/,
      ],
      [{ [compute]: '10', 'nvidia.com/gpucores': '20' }, /gpucores\]: .* leave one of them out/],
      [
        { [memory]: '1024', 'nvidia.com/gpumem-percentage': '50' },
        /percentage\]: Forbidden: may not be set beside centaurus.io\/gpu-memory/,
      ],
      [{ 'nvidia.com/priority': '1' }, /may not be set in a container without GPUs/],
      [{ [GPU]: '1', 'nvidia.com/priority': '2' }, /must be 0 \(high\) or 1 \(low\)/],
    ] as const) {
      const said = read(limits as Record<string, string>)
      assert.equal(typeof said, 'string', JSON.stringify(limits))
      assert.match(said as string, why)
    }
    const both = read({ [memory]: 'x', [compute]: 'y' }) as string
    assert.equal(both.split('\n').length, 2, 'everything that is wrong is said')
  })

  it('is a request within its limits, or an error, whatever is written', () => {
    const names = fc.constantFrom(GPU, ...GPU_SHARE_RESOURCES)
    const texts = fc.oneof(fc.nat(200).map(String), fc.string(), fc.constantFrom('1Gi', '1e9', '10m', '-1', '1E400'))
    fc.assert(
      fc.property(fc.dictionary(names, texts), (limits) => {
        const { request, errors } = gpuRequestOf(containerOf(limits), PATH)
        if (request === undefined) return
        assert.equal(errors.length, 0)
        const { count, memoryMiB, memoryPercent, compute } = request
        assert.ok(count >= 1)
        assert.ok(memoryMiB === undefined || memoryPercent === undefined)
        assert.ok(compute === undefined || (memoryMiB ?? memoryPercent) !== undefined, 'a share has memory')
        for (const percent of [memoryPercent, compute])
          assert.ok(percent === undefined || (percent >= 1 && percent <= 100))
      }),
    )
  })
})

describe('what a pod asks for', () => {
  it('is what its containers ask for, and which devices will do', () => {
    const annotations = {
      'centaurus.io/gpu-models': 'A100, H100',
      'hami.io/gpu-scheduler-policy': 'topology-aware,numa',
    }
    const sidecar: Container = { ...containerOf({ 'centaurus.io/gpu-memory': '512' }, 'side'), restartPolicy: 'Always' }
    const init = containerOf({ [GPU]: '1' }, 'init')
    const pod = podOf([containerOf({ cpu: '1' }, 'none'), containerOf({ [GPU]: '2' })], annotations, [sidecar, init])
    assert.deepEqual(gpuRequestsOf(pod), {
      errors: [],
      requests: {
        containers: [
          { container: 'side', role: 'sidecar', request: { count: 1, memoryMiB: 512 } },
          { container: 'init', role: 'init', request: { count: 1 } },
          { container: 'train', role: 'main', request: { count: 2 } },
        ],
        constraints: {
          models: ['A100', 'H100'],
          modelsExcluded: [],
          uuids: [],
          uuidsExcluded: [],
          policy: 'topology',
        },
      },
    })
    assert.deepEqual(gpuRequestsOf(podOf([containerOf({})])), { requests: undefined, errors: [] })
  })

  it('has the priority of its container before its own', () => {
    const containers = [containerOf({ [GPU]: '1' }, 'a'), containerOf({ [GPU]: '1', 'nvidia.com/priority': '0' }, 'b')]
    const { requests } = gpuRequestsOf(podOf(containers, { 'centaurus.io/gpu-priority': '1' }))
    assert.deepEqual(
      requests?.containers.map(({ request }) => request.priority),
      [1, 0],
    )
  })

  it('is refused for annotations that mean nothing', () => {
    for (const [annotations, why] of [
      [{ 'centaurus.io/gpu-models': 'A100,,H100' }, /gpu-models\]: .*without empty places/],
      [{ 'centaurus.io/gpu-policy': 'mutex' }, /must be binpack, spread or topology/],
      [{ 'centaurus.io/gpu-policy': 'constructor' }, /must be binpack, spread or topology/],
      [{ 'hami.io/gpu-scheduler-policy': 'spread,binpack' }, /must be binpack, spread or topology/],
      [{ 'centaurus.io/gpu-priority': 'high' }, /must be 0 \(high\) or 1 \(low\)/],
      [
        { 'centaurus.io/gpu-uuids': 'GPU-1', 'nvidia.com/use-gpuuuid': 'GPU-2' },
        /use-gpuuuid\]: .*leave one of them out/,
      ],
    ] as const) {
      const { requests, errors } = gpuRequestsOf(podOf([containerOf({ [GPU]: '1' })], annotations))
      assert.equal(requests, undefined)
      assert.equal(errors.length, 1)
      assert.match(`${errors[0]!.field}: ${errors[0]!.message}`, why)
    }
    assert.equal(gpuRequestsOf(podOf([], { 'centaurus.io/gpu-policy': 'x' })).errors.length, 1)
  })
})

describe('a model', () => {
  it('is whole words of what the driver says', () => {
    for (const wanted of ['A100', 'nvidia a100', 'NVIDIA-A100-SXM4-40GB', 'sxm4', 'A100-SXM4'])
      assert.ok(isGpuModel('NVIDIA A100-SXM4-40GB', wanted), wanted)
    for (const wanted of ['A10', '100', 'A100 40GB', 'H100'])
      assert.ok(!isGpuModel('NVIDIA A100-SXM4-40GB', wanted), wanted)
    assert.ok(!isGpuModel('Tesla T40', 'T4'))
  })

  it('and a uuid may be asked for or ruled out', () => {
    const device = { model: 'NVIDIA A100-SXM4-40GB', uuid: 'GPU-1' }
    const any = { models: [], modelsExcluded: [], uuids: [], uuidsExcluded: [], policy: 'binpack' } as const
    assert.equal(whyNotGpu(any, device), undefined)
    assert.equal(whyNotGpu({ ...any, models: ['T4', 'A100'] }, device), undefined)
    assert.equal(whyNotGpu({ ...any, models: ['T4'] }, device), 'model')
    assert.equal(whyNotGpu({ ...any, modelsExcluded: ['a100'] }, device), 'model')
    assert.equal(whyNotGpu({ ...any, uuids: ['GPU-2'] }, device), 'uuid')
    assert.equal(whyNotGpu({ ...any, uuids: ['GPU-1'], uuidsExcluded: ['GPU-1'] }, device), 'uuid')
  })
})
