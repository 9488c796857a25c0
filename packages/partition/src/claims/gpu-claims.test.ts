import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { nodeallocations, type NodeAllocation } from '@centaurus/api/centaurus/v1'
import { nodes, type Pod } from '@centaurus/api/core/v1'
import {
  deviceAmounts,
  formatGpuAllocation,
  formatGpuInventory,
  GPU_ALLOCATION_ANNOTATION,
  GPU_DEVICES_ANNOTATION,
  splitDeviceAmounts,
  type GpuGrant,
} from '@centaurus/api/gpu'
import { createAccessExtension, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore } from '@centaurus/store'
import { foreignUse } from './allocation-stream.ts'
import { ClaimBook } from './claim-book.ts'
import { createClaimsExtension } from './claims-extension.ts'
import { roomOf } from './pod-room.ts'

const device = (uuid: string, index: number, healthy = true) => ({
  uuid,
  index,
  model: 'NVIDIA A100',
  memoryMiB: 16_000,
  healthy,
})

describe('GPUs in claims', () => {
  const store = createMemoryStore()
  const claims = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
  let test: TestServer
  let sequence = 0

  before(async () => {
    const certificates = await openClusterCertificates()
    const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
    const membership = {
      self: 'rp',
      get: () => undefined,
      hosts: () => true,
      tenants: () => [],
      onChange: () => () => {},
    }
    const extensions = [createAccessExtension({ signer }), createClaimsExtension({ claims, store, membership })]
    test = await startTestServer({ store, certificates, extensions })
    const inventory = { devices: [device('GPU-1', 0), device('GPU-2', 1), device('GPU-3', 2, false)] }
    const annotations = { [GPU_DEVICES_ANNOTATION]: formatGpuInventory(inventory) }
    const node = await test.client.create(nodes, { metadata: { name: 'n', annotations } })
    const allocatable = { cpu: '8', memory: '64Gi', pods: '110', 'nvidia.com/gpu': '2' }
    await test.client.updateStatus(nodes, { ...node, status: { allocatable, capacity: allocatable } })
    while (claims.ledger.capacity('n')?.['cpu'] === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  })
  after(() => test.close())

  const claim = async (uid: string, grants: readonly GpuGrant[], partition = 'tp1') => {
    const requests = { cpu: 100, ...deviceAmounts(grants) }
    const place = { tenant: 'acme', namespace: 'default', name: uid, node: 'n' }
    const item = { op: 'claim' as const, uid, ...place, requests }
    const { items } = await claims.submit({ partition, epoch: 1, sequence: sequence++, items: [item] })
    return items[0]!
  }

  it('are given once, memory and compute of each', async () => {
    const share = { uuid: 'GPU-1', memoryMiB: 10_000, compute: 40 }
    assert.equal((await claim('a', [share])).result, 'accepted')
    assert.equal((await claim('a', [share])).result, 'accepted', 'asking again asks for no more')
    assert.equal((await claim('whole', [{ uuid: 'GPU-2' }])).result, 'accepted')
    const refused = await claim('b', [share], 'tp2')
    assert.equal(refused.result, 'refused')
    assert.equal(refused.message, 'Insufficient memory of GPU GPU-1')
    assert.equal(refused.free?.['gpu-memory/GPU-1'], 6_000)
    assert.equal(refused.free?.['gpu-compute/GPU-1'], 60)
    const compute = await claim('b', [{ uuid: 'GPU-1', memoryMiB: 1_000, compute: 61 }], 'tp2')
    assert.equal(compute.message, 'Insufficient compute of GPU GPU-1')
    for (const grant of [{ uuid: 'GPU-1' }, { uuid: 'GPU-2', memoryMiB: 1 }]) {
      assert.match(
        (await claim('b', [grant], 'tp2')).message ?? '',
        /Insufficient GPU GPU-[12], of which others have a part/,
      )
    }
    assert.equal((await claim('b', [{ ...share, memoryMiB: 6_000 }], 'tp2')).result, 'accepted')
  })

  it('are not given when they are broken, or not there', async () => {
    for (const uuid of ['GPU-3', 'GPU-9']) {
      const { result, message } = await claim('c', [{ uuid, memoryMiB: 1 }])
      assert.equal(result, 'refused')
      assert.match(message ?? '', /Insufficient GPU GPU-[39], which the node does not have or which is not healthy/)
    }
  })

  it('are told to other schedulers, by device', () => {
    const used = foreignUse(claims.ledger.claims('n'), 'tp2', { maxPriorityOf: () => 0 })
    const { grants, unknown } = splitDeviceAmounts(used.requests)
    assert.deepEqual(grants, [{ uuid: 'GPU-1', memoryMiB: 10_000, compute: 40 }, { uuid: 'GPU-2' }])
    assert.equal(unknown, 0)
  })

  it('are shown, and to whom they were given', async () => {
    const { status } = (await test.client.get(nodeallocations, { name: 'n' })) as NodeAllocation
    const of = ({ uuid, freeMemoryMiB, freeCompute, isUsed }: NonNullable<typeof status.devices>[number]) => [
      uuid,
      freeMemoryMiB,
      freeCompute,
      isUsed,
    ]
    assert.deepEqual(status.devices?.map(of), [
      ['GPU-1', 0, 20, true],
      ['GPU-2', 0, 0, true],
      ['GPU-3', 16_000, 100, false],
    ])
    const whole = status.claims.find(({ uid }) => uid === 'whole')
    assert.deepEqual(whole?.devices, [{ uuid: 'GPU-2' }])
    assert.deepEqual(whole?.requests, { cpu: '100m', pods: '1' })
    assert.deepEqual(Object.keys(status.allocatable).toSorted(), ['cpu', 'memory', 'nvidia.com/gpu', 'pods'])
  })

  it('are given back, and remembered by whoever opens the store', async () => {
    const items = [{ op: 'release' as const, uid: 'whole' }]
    await claims.submit({ partition: 'tp1', epoch: 1, sequence: sequence++, items })
    const other = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
    await other.start()
    const { grants } = splitDeviceAmounts(other.ledger.claims('n').used)
    assert.deepEqual(grants, [{ uuid: 'GPU-1', memoryMiB: 16_000, compute: 80 }])
    await other.close()
    assert.equal((await claim('d', [{ uuid: 'GPU-2' }])).result, 'accepted')
  })
})

describe('what a bound pod takes', () => {
  const limits = { 'nvidia.com/gpu': '2', 'nvidia.com/gpumem': '1000', cpu: '1' }
  const podWith = (annotations: Record<string, string>): Pod => ({
    metadata: { name: 'a', annotations },
    spec: { containers: [{ name: 'main', image: 'a', resources: { requests: limits, limits } }] },
  })

  it('is its devices, and no sum of parts of GPUs', () => {
    const grants = ['GPU-1', 'GPU-2'].map((uuid) => ({ uuid, memoryMiB: 1_000 }))
    const allocation = formatGpuAllocation({ main: grants })
    assert.deepEqual(roomOf(podWith({ [GPU_ALLOCATION_ANNOTATION]: allocation })).requests, {
      cpu: 1_000,
      pods: 1,
      ...deviceAmounts(grants),
    })
    assert.deepEqual(roomOf(podWith({})).requests, { cpu: 1_000, pods: 1 })
    assert.deepEqual(roomOf(podWith({ [GPU_ALLOCATION_ANNOTATION]: '{' })).requests, { cpu: 1_000, pods: 1 })
  })
})
