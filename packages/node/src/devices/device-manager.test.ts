import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

import { Client, credentials } from '@grpc/grpc-js'

import type { Container, Pod } from '@centaurus/api/core/v1'
import { GPU, GPU_ALLOCATION_ANNOTATION } from '@centaurus/api/gpu'
import { silentLogger, systemClock } from '@centaurus/base'

import { startDevicePlugin, type DevicePluginSettings, type TestDevicePlugin } from '../testing/device-plugin.ts'
import { DeviceManager } from './device-manager.ts'
import { deviceProtocol } from './protocol/definitions.ts'

const THING = 'example.com/thing'
const WAIT_MS = 20_000

const made: (() => Promise<void> | void)[] = []

/** A manager in a folder of its own, and plugins that register with it. */
class World {
  readonly dir: string
  manager!: DeviceManager
  pods: Pod[] = []
  /** Uids of pods that hold what they have. */
  readonly holders = new Set<string>()
  readonly healthChanges: string[] = []
  #plugins = 0

  private constructor(dir: string) {
    this.dir = dir
  }

  static async create(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'centaurus-devices-')))
    made.push(() => rm(world.dir, { recursive: true, force: true }))
    made.push(() => world.manager.close())
    await world.start()
    return world
  }

  /** A manager instead of the one before, as after a crash of the agent. */
  async start(): Promise<void> {
    this.manager = new DeviceManager({ dir: this.dir, clock: systemClock, logger: silentLogger })
    await this.manager.start({
      pods: () => this.pods,
      holdsDevices: (uid) => this.holders.has(uid),
      onCapacity: () => {},
      onHealth: (uid) => void this.healthChanges.push(uid),
    })
  }

  plugin(settings: Partial<DevicePluginSettings> = {}): TestDevicePlugin {
    this.#plugins += 1
    const all = {
      resource: THING,
      socket: `thing${this.#plugins}.sock`,
      devices: [{ id: 'a' }, { id: 'b' }],
      ...settings,
    }
    const dir = join(this.dir, 'device-plugins')
    const plugin = startDevicePlugin(all, { dir, file: join(this.dir, `plugin${this.#plugins}`) })
    made.push(() => plugin.kill())
    return plugin
  }

  /** Resolves when so many devices of a resource are there, and can be had. */
  async until(capacity: number, allocatable: number, resource = THING): Promise<void> {
    await waitFor(() => {
      const counts = this.manager.count()
      return counts.capacity.get(resource) === capacity && counts.allocatable.get(resource) === allocatable
    })
  }

  /** A pod that is here to stay, with what it was refused for. */
  async admit(pod: Pod): Promise<string | undefined> {
    this.pods.push(pod)
    this.holders.add(pod.metadata.uid ?? '')
    return this.manager.allocate(pod)
  }

  async idsOf(pod: Pod, container = pod.spec!.containers[0]!): Promise<string | undefined> {
    return (await this.manager.prepare(pod, container)).envs.get('THING_IDS')
  }
}

async function waitFor(check: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WAIT_MS; Date.now() < end; await systemClock.sleep(20)) if (await check()) return
  throw new Error(`It did not come to pass: ${check.toString()}`)
}

function container(name: string, count: number, more: Partial<Container> = {}): Container {
  return { name, image: 'x', resources: { limits: { [THING]: String(count) } }, ...more }
}

function pod(name: string, containers: Container[], initContainers: Container[] = []): Pod {
  return { metadata: { name, namespace: 'default', uid: `uid-of-${name}` }, spec: { containers, initContainers } }
}

after(async () => {
  for (const end of made.toReversed()) await end()
})

describe('device manager', () => {
  it('gives containers what a plugin prepares for them', async () => {
    const world = await World.create()
    const plugin = world.plugin({
      devices: [{ id: 'a', hostPath: '/dev/null' }, { id: 'b' }],
      mount: '/srv/things',
      isPreStartRequired: true,
    })
    await world.until(2, 2)
    const user = pod('user', [container('main', 1)])
    assert.equal(await world.admit(user), undefined)
    const [main] = user.spec!.containers
    for (let start = 0; start < 2; start += 1) {
      const devices = await world.manager.prepare(user, main!)
      assert.deepEqual(Object.fromEntries(devices.envs), { THING_IDS: 'a', THING_RESOURCE: THING })
      assert.deepEqual(devices.devices, [{ containerPath: '/dev/thing-a', hostPath: '/dev/null', permissions: 'rw' }])
      assert.deepEqual(devices.mounts, [
        { containerPath: '/things', hostPath: '/srv/things', readonly: true, propagation: 'PROPAGATION_PRIVATE' },
      ])
      assert.deepEqual(devices.annotations, { 'example.com/things': '1' })
    }
    const calls = plugin.calls().filter(({ method }) => method !== 'registered')
    assert.deepEqual(calls, [
      { method: 'Allocate', ids: ['a'], podUid: 'uid-of-user', container: 'main' },
      { method: 'PreStartContainer', ids: ['a'] },
      { method: 'PreStartContainer', ids: ['a'] },
    ])
    const other = await world.manager.prepare(pod('plain', []), { name: 'main' })
    assert.equal(other.envs.size, 0)
  })

  it('gives no device twice, and again what is released', async () => {
    const world = await World.create()
    world.plugin()
    await world.until(2, 2)
    assert.equal(await world.admit(pod('one', [container('main', 2)])), undefined)
    const two = pod('two', [container('main', 1)])
    assert.equal(
      await world.admit(two),
      'requested number of devices unavailable for example.com/thing. Requested: 1, Available: 0',
    )
    await world.manager.release('uid-of-one')
    assert.equal(await world.admit(two), undefined)
    assert.equal(await world.idsOf(two), 'a')
  })

  it('gives all of a pod or nothing', async () => {
    const world = await World.create()
    world.plugin()
    await world.until(2, 2)
    const greedy = pod('greedy', [container('first', 1), container('second', 2)])
    assert.match((await world.admit(greedy)) ?? '', /Requested: 2, Available: 1/)
    assert.equal(await world.admit(pod('modest', [container('main', 2)])), undefined)
  })

  it('lets containers have what init containers had, and sidecars keep theirs', async () => {
    const world = await World.create()
    world.plugin({ devices: ['a', 'b', 'c'].map((id) => ({ id })) })
    await world.until(3, 3)
    const init = [container('init', 2), container('sidecar', 1, { restartPolicy: 'Always' }), container('last', 1)]
    const staged = pod('staged', [container('main', 1), container('beside', 1)], init)
    assert.equal(await world.admit(staged), undefined)
    const ids = await Promise.all([...init, ...staged.spec!.containers].map((one) => world.idsOf(staged, one)))
    assert.deepEqual(ids, ['a,b', 'a', 'b', 'b', 'c'])
  })

  it('asks the plugin which devices it prefers', async () => {
    const world = await World.create()
    const plugin = world.plugin({ devices: ['a', 'b', 'c'].map((id) => ({ id })), prefersLast: true })
    await world.until(3, 3)
    const user = pod('user', [container('main', 2)])
    assert.equal(await world.admit(user), undefined)
    assert.equal(await world.idsOf(user), 'b,c')
    assert.deepEqual(plugin.calls().find(({ method }) => method === 'GetPreferredAllocation')?.ids, ['a', 'b', 'c'])
  })

  it('keeps the resources of a container near each other', async () => {
    const world = await World.create()
    const [card, port] = ['example.com/card', 'example.com/port']
    world.plugin({ resource: card, devices: [0, 1].map((node) => ({ id: `card${node}`, numaNodes: [node] })) })
    world.plugin({ resource: port, devices: [{ id: 'port', numaNodes: [1] }] })
    await Promise.all([world.until(2, 2, card), world.until(1, 1, port)])
    const limits = { [card]: '1', [port]: '1' }
    const user = pod('user', [{ name: 'main', image: 'x', resources: { limits } }])
    assert.equal(await world.admit(user), undefined)
    assert.deepEqual(
      world.manager
        .healthOf('uid-of-user', 'main')
        .map(({ resources }) => resources?.map(({ resourceID }) => resourceID)),
      [['card1'], ['port']],
    )
  })

  it('says what a plugin said', async () => {
    const world = await World.create()
    const plugin = world.plugin({ allocateError: 'the thing is stuck' })
    await world.until(2, 2)
    const user = pod('user', [container('main', 1)])
    assert.equal(await world.admit(user), 'rpc error: code = Unknown desc = the thing is stuck')
    plugin.change({ allocateError: undefined })
    assert.equal(await world.admit(user), undefined)
  })

  it('lets pods end, and others come that need no devices, while a plugin hangs', async () => {
    const world = await World.create()
    const plugin = world.plugin()
    await world.until(2, 2)
    assert.equal(await world.admit(pod('ending', [container('main', 1)])), undefined)
    plugin.change({ hangs: true })
    const stuck = world.admit(pod('stuck', [container('main', 1)]))
    await waitFor(() => plugin.calls().filter(({ method }) => method === 'Allocate').length === 2)
    await world.manager.release('uid-of-ending')
    assert.equal(await world.admit(pod('plain', [{ name: 'main' }])), undefined)
    await plugin.kill()
    assert.match((await stuck) ?? '', /^rpc error: code = Unavailable/)
  })

  it('follows health, and tells whose devices it is of', async () => {
    const world = await World.create()
    const plugin = world.plugin()
    await world.until(2, 2)
    assert.equal(await world.admit(pod('user', [container('main', 1)])), undefined)
    const health = (): unknown => world.manager.healthOf('uid-of-user', 'main')
    assert.deepEqual(health(), [{ name: THING, resources: [{ resourceID: 'a', health: 'Healthy' }] }])
    plugin.change({ devices: [{ id: 'a', healthy: false }, { id: 'b' }] })
    await world.until(2, 1)
    assert.deepEqual(health(), [{ name: THING, resources: [{ resourceID: 'a', health: 'Unhealthy' }] }])
    assert.deepEqual(world.healthChanges, ['uid-of-user'])
    await plugin.kill()
    await world.until(2, 0)
    assert.deepEqual(health(), [{ name: THING, resources: [{ resourceID: 'a', health: 'Unknown' }] }])
    assert.equal(
      await world.admit(pod('late', [container('main', 1)])),
      'no healthy devices present; cannot allocate unhealthy devices example.com/thing',
    )
  })

  it('takes a plugin that comes back, and another one while the first is still there', async () => {
    const world = await World.create()
    const first = world.plugin({ socket: 'same.sock' })
    await world.until(2, 2)
    await first.kill()
    await world.until(2, 0)
    const second = world.plugin({ socket: 'same.sock', devices: [{ id: 'c' }] })
    await world.until(1, 1)
    const third = world.plugin({ socket: 'other.sock', devices: [{ id: 'c' }, { id: 'd' }] })
    await world.until(2, 2)
    await second.kill()
    assert.equal(await world.admit(pod('user', [container('main', 2)])), undefined)
    assert.equal(third.calls().filter(({ method }) => method === 'Allocate').length, 1)
  })

  it('leaves a folder alone that another kubelet serves', async () => {
    const world = await World.create()
    world.plugin()
    await world.until(2, 2)
    const second = new DeviceManager({ dir: world.dir, clock: systemClock, logger: silentLogger })
    await second.start({ pods: () => [], holdsDevices: () => true, onCapacity: () => {}, onHealth: () => {} })
    second.close()
    assert.deepEqual(await register(world, { endpoint: 'thing1.sock' }), {})
    assert.equal(second.count().allocatable.get(THING) ?? 0, 0)
  })

  it('refuses plugins that it can’t serve, and says why', async () => {
    const world = await World.create()
    const cases: [Partial<DevicePluginSettings>, RegExp][] = [
      [
        { version: 'v1alpha' },
        /requested API version "v1alpha" is not supported by kubelet. Supported version is \["v1beta1"\]/,
      ],
      [{ resource: 'cpu' }, /the ResourceName "cpu" is invalid/],
      [{ resource: 'kubernetes.io/thing' }, /the ResourceName "kubernetes.io\/thing" is invalid/],
    ]
    for (const [settings, why] of cases) {
      const plugin = world.plugin(settings)
      await waitFor(() => plugin.calls().length > 0)
      assert.match(plugin.calls()[0]?.why ?? '', why)
    }
    await assert.rejects(register(world, { endpoint: '../x.sock' }), /the endpoint "..\/x.sock" is invalid/)
    assert.equal(world.manager.count().capacity.size, 0)
  })

  it('remembers after a crash who has what', async () => {
    const world = await World.create()
    const plugin = world.plugin()
    await world.until(2, 2)
    const user = pod('user', [container('main', 1)])
    const gone = pod('gone', [container('main', 1)])
    assert.equal(await world.admit(gone), undefined)
    assert.equal(await world.admit(user), undefined)
    const before = await readFile(join(world.dir, 'device-plugins/kubelet_internal_checkpoint'), 'utf8')
    world.manager.close()
    await world.start()
    assert.equal(world.manager.manages(THING), true)
    // the plugin sees the new socket and registers again, which the next pod waits for
    world.holders.delete('uid-of-gone')
    const next = pod('next', [container('main', 1)])
    assert.equal(await world.admit(next), undefined)
    assert.equal(await world.idsOf(user), 'b')
    assert.equal(await world.idsOf(next), 'a')
    assert.equal(plugin.calls().filter(({ method }) => method === 'registered').length, 2)
    assert.match(before, /"PodUID":"uid-of-user"/)
    assert.match((await world.admit(pod('more', [container('main', 1)]))) ?? '', /Available: 0/)
  })

  it('starts no container before its plugin is back', async () => {
    const world = await World.create()
    const plugin = world.plugin({ socket: 'thing.sock' })
    await world.until(2, 2)
    const user = pod('user', [container('main', 1)])
    assert.equal(await world.admit(user), undefined)
    await plugin.kill()
    world.manager.close()
    await world.start()
    await assert.rejects(world.idsOf(user), /the device plugin of example.com\/thing has not come back yet/)
    world.plugin({ socket: 'thing.sock' })
    await world.until(2, 2)
    assert.equal(await world.idsOf(user), 'a')
  })

  it('puts a damaged checkpoint aside, and goes on', async () => {
    const world = await World.create()
    world.plugin()
    await world.until(2, 2)
    assert.equal(await world.admit(pod('user', [container('main', 1)])), undefined)
    world.manager.close()
    const file = join(world.dir, 'device-plugins/kubelet_internal_checkpoint')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.slice(0, 100))
    await world.start()
    await world.until(2, 2)
    assert.equal(await readFile(`${file}.damaged`, 'utf8'), text.slice(0, 100))
  })

  it('says by PodResources who has what', async () => {
    const world = await World.create()
    world.plugin({ devices: [{ id: 'a', numaNodes: [1] }, { id: 'b' }, { id: 'c', healthy: false }] })
    await world.until(3, 2)
    assert.equal(await world.admit(pod('user', [container('main', 1), { name: 'idle' }])), undefined)
    const main = { name: 'main', devices: [listed('a', 1)] }
    const user = { name: 'user', namespace: 'default', containers: [main, { name: 'idle', devices: [] }] }
    assert.deepEqual(await ask(world, 'List', {}), { podResources: [user] })
    assert.deepEqual(await ask(world, 'Get', { podName: 'user', podNamespace: 'default' }), { podResources: user })
    await assert.rejects(
      ask(world, 'Get', { podName: 'none', podNamespace: 'default' }),
      /pod none in namespace default not found/,
    )
    assert.deepEqual(await ask(world, 'GetAllocatableResources', {}), { devices: [listed('a', 1), listed('b')] })
    const counted = world.manager.metrics.read().flatMap(({ name, samples }) => samples.map((one) => [name, one.value]))
    assert.ok(counted.some(([name, value]) => name === 'kubelet_pod_resources_endpoint_errors_get' && value === 1))
    assert.ok(counted.some(([name, value]) => name === 'kubelet_device_plugin_registration_total' && value === 1))
  })
})

describe('GPUs that the scheduler gave', () => {
  const gpuPod = (name: string, grants: object, limits: Record<string, string> = { [GPU]: '1' }): Pod => ({
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-of-${name}`,
      annotations: { [GPU_ALLOCATION_ANNOTATION]: JSON.stringify({ main: grants }) },
    },
    spec: { containers: [{ name: 'main', image: 'x', resources: { limits } }] },
  })

  it('are those that containers get, shared and whole', async () => {
    const world = await World.create()
    const plugin = world.plugin({ resource: GPU, devices: ['GPU-0', 'GPU-1', 'GPU-2'].map((id) => ({ id })) })
    await world.until(3, 3, GPU)
    const share = { 'centaurus.io/gpu-memory': '1024' }
    assert.equal(await world.admit(gpuPod('half', [{ uuid: 'GPU-1', memoryMiB: 1024, compute: 40 }], share)), undefined)
    assert.equal(await world.admit(gpuPod('other', [{ uuid: 'GPU-1', compute: 60 }])), undefined)
    assert.equal(await world.admit(gpuPod('whole', [{ uuid: 'GPU-2' }])), undefined)
    const asked = plugin.calls().filter(({ method }) => method === 'Allocate')
    assert.deepEqual(
      asked.map(({ ids, podUid, container }) => [ids, podUid, container]),
      [
        [['GPU-1::1024::40'], 'uid-of-half', 'main'],
        [['GPU-1::::60'], 'uid-of-other', 'main'],
        [['GPU-2'], 'uid-of-whole', 'main'],
      ],
    )
    const refusals: [Pod, RegExp][] = [
      [gpuPod('late', [{ uuid: 'GPU-1' }]), /GPU-1 that the pod was given is in use by another pod/],
      [gpuPod('part', [{ uuid: 'GPU-2', compute: 1 }]), /GPU-2 that the pod was given is in use by another pod/],
      [gpuPod('lost', [{ uuid: 'GPU-7' }]), /GPU-7 that the pod was given is not healthy/],
      [gpuPod('bad', [{ uuid: 'a b' }]), /allocation of GPUs has a device without a right uuid/],
    ]
    for (const [refused, why] of refusals) assert.match((await world.admit(refused)) ?? '', why)
    // without the scheduler's word: what nobody has any of
    const stock = { ...gpuPod('stock', []), metadata: { name: 'stock', uid: 'uid-of-stock' } }
    assert.equal(await world.admit(stock), undefined)
    assert.equal(await world.idsOf(stock), 'GPU-0')
    await world.manager.release('uid-of-half')
    await world.manager.release('uid-of-other')
    assert.equal(await world.admit(gpuPod('late', [{ uuid: 'GPU-1' }])), undefined)
  })

  it('are not to be done without', async () => {
    const world = await World.create()
    const limits = { 'centaurus.io/gpu-memory': '1024' }
    const unbound = { ...gpuPod('unbound', [], limits), metadata: { name: 'unbound', uid: 'uid-of-unbound' } }
    assert.match(
      (await world.admit(unbound)) ?? '',
      /container "main" asks for a share of a GPU \(centaurus.io\/gpu-memory\) and was given none/,
    )
    assert.equal(
      await world.admit(gpuPod('early', [{ uuid: 'GPU-0' }])),
      'cannot allocate unregistered device nvidia.com/gpu',
    )
  })
})

function listed(id: string, node?: number): object {
  return { resourceName: THING, deviceIds: [id], topology: node === undefined ? null : { nodes: [{ ID: node }] } }
}

function ask(world: World, method: string, request: object): Promise<unknown> {
  return callOnSocket(join(world.dir, 'pod-resources/kubelet.sock'), deviceProtocol().podResources[method]!, request)
}

function register(world: World, request: object): Promise<unknown> {
  const all = { version: 'v1beta1', resourceName: THING, endpoint: 'x.sock', ...request }
  const { registration } = deviceProtocol()
  return callOnSocket(join(world.dir, 'device-plugins/kubelet.sock'), registration['Register']!, all)
}

type Method = NonNullable<ReturnType<typeof deviceProtocol>['registration'][string]>

async function callOnSocket(path: string, method: Method, request: object): Promise<unknown> {
  const client = new Client(`unix:${path}`, credentials.createInsecure())
  const { requestSerialize, responseDeserialize } = method
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method.path, requestSerialize, responseDeserialize, request, (error, value) =>
      error === null ? resolve(value) : reject(error),
    )
  }).finally(() => client.close())
}
