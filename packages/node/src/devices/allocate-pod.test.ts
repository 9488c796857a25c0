import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import * as fc from 'fast-check'

import type { Container, Pod } from '@centaurus/api/core/v1'
import { GPU, GPU_ALLOCATION_ANNOTATION, isWholeGpu, parseGpuDeviceId, type GpuGrant } from '@centaurus/api/gpu'

import { allocatePod, AllocationError } from './allocate-pod.ts'
import { AllocationLedger } from './allocation-ledger.ts'
import { DeviceInventory } from './device-inventory.ts'

const [CARD, PORT] = ['example.com/card', 'example.com/port']
const RESPONSE = { envs: {}, mounts: [], devices: [], annotations: {}, cdiDevices: [] }

type Role = 'init' | 'sidecar' | 'main'

interface Asked {
  readonly role: Role
  readonly cards: number
  readonly ports: number
}

type Step =
  | { readonly type: 'admit'; readonly asked: readonly Asked[] }
  | { readonly type: 'release'; readonly index: number }
  | { readonly type: 'health'; readonly ill: readonly number[] }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('admit' as const),
        asked: fc.array(
          fc.record({ role: fc.constantFrom<Role>('init', 'sidecar', 'main'), cards: fc.nat(3), ports: fc.nat(2) }),
          { minLength: 1, maxLength: 4 },
        ),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('release' as const), index: fc.nat(20) }) },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('health' as const), ill: fc.uniqueArray(fc.nat(5), { maxLength: 3 }) }),
    },
  ),
  { maxLength: 25 },
)

function makePod(uid: string, asked: readonly Asked[]): Pod {
  const containers = asked.map(({ role, cards, ports }, i): Container => ({
    name: `${role}${i}`,
    ...(role === 'sidecar' ? { restartPolicy: 'Always' } : {}),
    resources: { limits: { [CARD]: String(cards), [PORT]: String(ports), cpu: '1' } },
  }))
  const isMain = (_: unknown, i: number): boolean => asked[i]!.role === 'main'
  return {
    metadata: { uid },
    spec: { containers: containers.filter(isMain), initContainers: containers.filter((one, i) => !isMain(one, i)) },
  }
}

function report(inventory: DeviceInventory, ill: readonly number[] = []): void {
  for (const resource of [CARD, PORT]) {
    const devices = [0, 1, 2, 3, 4, 5].map((i) => ({
      id: `d${i}`,
      healthy: !ill.includes(i),
      numaNodes: i < 3 ? [i % 2] : [],
    }))
    inventory.report(resource, devices)
  }
}

/** Ids of what runs at one time: containers and sidecars of a pod together, or one init container and the sidecars before it. */
function assertApart(pod: Pod, ledger: AllocationLedger): void {
  const uid = pod.metadata.uid ?? ''
  const idsOf = (name: string): string[] =>
    ledger.ofContainer(uid, name).flatMap(({ resource, devices }) => devices.map(({ id }) => `${resource} ${id}`))
  const sidecars: string[] = []
  for (const { name, restartPolicy } of pod.spec?.initContainers ?? []) {
    const together = [...sidecars, ...idsOf(name)]
    assert.equal(new Set(together).size, together.length)
    if (restartPolicy === 'Always') sidecars.push(...idsOf(name))
  }
  const together = [...sidecars, ...(pod.spec?.containers ?? []).flatMap(({ name }) => idsOf(name))]
  assert.equal(new Set(together).size, together.length)
}

describe('devices of pods that come and go', () => {
  it('are as many as were asked for, healthy, and nobody else’s', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const inventory = new DeviceInventory()
        const ledger = new AllocationLedger()
        report(inventory)
        const deps = { inventory, ledger, prefer: async () => undefined, allocate: async () => RESPONSE }
        const pods: Pod[] = []
        for (const [i, step] of list.entries()) {
          if (step.type === 'health') report(inventory, step.ill)
          else if (step.type === 'release') {
            const [gone] = pods.splice(step.index % Math.max(1, pods.length), 1)
            if (gone !== undefined) ledger.replacePod(gone.metadata.uid ?? '', [])
          } else await admit(makePod(`uid${i}`, step.asked))
        }
        assert.deepEqual(
          new Set(ledger.podUids()),
          new Set(pods.map(({ metadata }) => metadata.uid).filter((uid) => ledger.ofPod(uid ?? '').length > 0)),
        )

        async function admit(pod: Pod): Promise<void> {
          const before = { [CARD]: ledger.inUse(CARD), [PORT]: ledger.inUse(PORT) }
          const uid = pod.metadata.uid ?? ''
          try {
            await allocatePod(pod, deps)
          } catch (error) {
            assert.ok(error instanceof AllocationError)
            ledger.replacePod(uid, [])
            return
          }
          pods.push(pod)
          for (const { container, resource, devices } of ledger.ofPod(uid)) {
            const spec = [...pod.spec!.initContainers!, ...pod.spec!.containers].find(({ name }) => name === container)
            assert.equal(String(devices.length), spec?.resources?.limits?.[resource])
            for (const { id } of devices) {
              assert.ok(inventory.healthy(resource).has(id))
              assert.ok(!before[resource]!.has(id))
            }
          }
          assertApart(pod, ledger)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('are GPUs that no two pods have when one has all of them', async () => {
    const grants = fc.record(
      { uuid: fc.constantFrom('GPU-0', 'GPU-1', 'GPU-2'), memoryMiB: fc.constant(1024), compute: fc.constant(10) },
      { requiredKeys: ['uuid'], noNullPrototype: true },
    )
    const requests = fc.oneof(
      fc.constant(undefined),
      fc.uniqueArray(grants, { minLength: 1, selector: ({ uuid }) => uuid }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { maxLength: 12 }), async (list) => {
        const inventory = new DeviceInventory()
        const ledger = new AllocationLedger()
        inventory.report(
          GPU,
          [0, 1, 2].map((i) => ({ id: `GPU-${i}`, healthy: true, numaNodes: [] })),
        )
        const deps = { inventory, ledger, prefer: async () => undefined, allocate: async () => RESPONSE }
        for (const [i, given] of list.entries()) {
          await allocatePod(makeGpuPod(`uid${i}`, given), deps).catch((error: unknown) =>
            assert.ok(error instanceof AllocationError),
          )
        }
        const held = ledger
          .all()
          .flatMap(({ podUid, devices }) =>
            devices.map(({ id }): GpuGrant & { podUid: string } => ({ podUid, ...parseGpuDeviceId(id) })),
          )
        for (const one of held.filter(isWholeGpu))
          assert.ok(held.every(({ uuid, podUid }) => uuid !== one.uuid || podUid === one.podUid))
      }),
    )
  })
})

/** Without grants: one that no scheduler of ours has seen. */
function makeGpuPod(uid: string, grants: readonly GpuGrant[] | undefined): Pod {
  const annotations = { [GPU_ALLOCATION_ANNOTATION]: JSON.stringify({ main: grants }) }
  return {
    metadata: { uid, ...(grants === undefined ? {} : { annotations }) },
    spec: { containers: [{ name: 'main', resources: { limits: { [GPU]: '1' } } }] },
  }
}
