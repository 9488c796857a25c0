import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'

import { events, pods, type Pod } from '@centaurus/api/core/v1'
import { silentLogger, systemClock } from '@centaurus/base'

import { BUSYBOX, startContainerdWorld, type ContainerdWorld } from '../testing/containerd-world.ts'
import { isInNamespaces, runInNamespaces } from '../testing/namespaces.ts'
import { stopAllPods } from './stop-pods.ts'

const manifestOf = (name: string, container: object): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [container], terminationGracePeriodSeconds: 1 },
})

if (!isInNamespaces()) {
  describe('what a node does beside running pods', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('what a node does beside running pods', () => {
    let world: ContainerdWorld
    let manifests: string
    before(async () => {
      manifests = await mkdtemp('/tmp/centaurus-manifests-')
      world = await startContainerdWorld({ config: { staticPodDir: manifests, evictionPeriodMs: 200 } })
    })
    after(async () => {
      await world?.close()
      await rm(manifests, { recursive: true, force: true })
    })

    const sh = (script: string) => ({ name: 'main', image: BUSYBOX, command: ['sh', '-c', script] })
    const isReady = (pod: Pod): boolean =>
      pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True'

    const reasons = async (name: string): Promise<string[]> =>
      (await world.client.list(events)).items
        .filter((event) => event.involvedObject.name === name)
        .map((event) => event.reason ?? '')

    it('cuts a preStop hook short when the grace becomes shorter', async () => {
      const lifecycle = { preStop: { exec: { command: ['sleep', '600'] } } }
      await world.createPod('hurried', { containers: [{ ...sh('sleep 1000'), lifecycle }] })
      await world.waitForPod('hurried', isReady)
      const startedMs = performance.now()
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'hurried' }, 600)
      while (!(await reasons('hurried')).includes('Killing')) await systemClock.sleep(20)
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'hurried' }, 1)
      await world.waitUntilGone('hurried')
      assert.ok(performance.now() - startedMs < 10_000)
    })

    it('runs the pods of its folder and shows them in the API', async () => {
      const write = (script: string) =>
        writeFile(`${manifests}/keeper.json`, JSON.stringify(manifestOf('keeper', sh(script))))
      const find = () => world.client.get(pods, { namespace: 'default', name: 'keeper-node-1' }).catch(() => undefined)
      await write('sleep 1000')
      while ((await find()) === undefined) await systemClock.sleep(20)
      const first = await world.waitForPod('keeper-node-1', isReady)
      assert.equal(first.metadata.ownerReferences?.[0]?.kind, 'Node')
      const running = async () =>
        (await world.runtime.listContainers()).filter(({ name, phase }) => name === 'main' && phase === 'running')
      const [container] = await running()
      await world.client.delete(pods, { namespace: 'default', name: 'keeper-node-1' })
      while ((await find())?.metadata.uid === first.metadata.uid || (await find()) === undefined)
        await systemClock.sleep(20)
      await world.waitForPod('keeper-node-1', isReady)
      assert.deepEqual(
        (await running()).map(({ id }) => id),
        [container?.id],
        'only its mirror was made again',
      )
      await write('sleep 2000')
      while ((await running())[0]?.id === container?.id || (await running()).length !== 1) await systemClock.sleep(20)
      await world.waitForPod('keeper-node-1', isReady)
      await rm(`${manifests}/keeper.json`)
      await world.waitUntilGone('keeper-node-1')
      while ((await running()).length > 0) await systemClock.sleep(20)
    })

    it('evicts a pod that outgrows its volume', async () => {
      await world.createPod('hungry', {
        volumes: [{ name: 'cache', emptyDir: { sizeLimit: '1Mi' } }],
        containers: [
          {
            ...sh('dd if=/dev/zero of=/cache/x bs=1M count=3; sleep 1000'),
            volumeMounts: [{ name: 'cache', mountPath: '/cache' }],
          },
        ],
      })
      const { status } = await world.waitForPod('hungry', (pod) => pod.status?.phase === 'Failed')
      assert.equal(status?.reason, 'Evicted')
      assert.equal(status?.message, 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ')
      assert.ok((await reasons('hungry')).includes('Evicted'))
      world.client.deleteGracefully(pods, { namespace: 'default', name: 'hungry' }, 1)
      await world.waitUntilGone('hungry')
    })

    it('gives a running container other resources', async () => {
      const name = { namespace: 'default', name: 'grown' }
      const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu, memory: '64Mi' } })
      const main = { ...sh('sleep 1000'), resources: resources('100m') }
      const before = await world
        .createPod('grown', { containers: [main] })
        .then(() => world.waitForPod('grown', isReady))
      const id = before.status?.containerStatuses?.[0]?.containerID
      const quota = async (): Promise<string> => {
        const script = 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null'
        const command = ['sh', '-c', script]
        const { stdout } = await world.runtime.execSync(id?.replace('containerd://', '') ?? '', command, 5)
        return Buffer.from(stdout).toString().split(/\s/)[0] ?? ''
      }
      const resize = (cpu: string) => {
        const spec = { containers: [{ ...main, resources: resources(cpu) }] }
        return world.client.patch(pods, name, { type: 'merge', body: { spec } })
      }
      assert.equal(await quota(), '10000')
      await resize('200m')
      const allocated = (pod: Pod) => pod.status?.containerStatuses?.[0]?.allocatedResources?.['cpu']
      const after = await world.waitForPod('grown', (pod) => allocated(pod) === '200m')
      assert.equal(after.status?.containerStatuses?.[0]?.containerID, id)
      assert.equal(await quota(), '20000')
      await resize('1000')
      const pending = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'PodResizePending')
      const refused = await world.waitForPod('grown', (pod) => pending(pod) !== undefined)
      assert.equal(pending(refused)?.reason, 'Infeasible')
      assert.equal(allocated(refused), '200m')
      await resize('200m')
      await world.waitForPod('grown', (pod) => pending(pod) === undefined)
      world.client.deleteGracefully(pods, name, 1)
      await world.waitUntilGone('grown')
    })

    it('stops all pods by what they asked for, without the API', async () => {
      const folder = await mkdtemp(`${world.dir}/stop-`)
      const volumes = [{ name: 'shared', hostPath: { path: folder } }]
      const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
      const pod = (name: string, priority: number) => {
        const mark = `echo ${name} >> /shared/order`
        const lifecycle = { preStop: { exec: { command: ['sh', '-c', mark] } } }
        const main = { ...sh('trap "exit 0" TERM; sleep 1000 & wait'), lifecycle, volumeMounts }
        return world.createPod(name, { priority, volumes, containers: [main] })
      }
      await Promise.all([pod('urgent', 1000), pod('modest', 0)])
      await Promise.all(['urgent', 'modest'].map((name) => world.waitForPod(name, isReady)))
      await world.agent.close()
      const { runtime } = world
      const deps = { runtime, clock: systemClock, logger: silentLogger }
      assert.equal(await stopAllPods(deps, { graceSecondsMax: 20 }), 2)
      assert.equal(await readFile(`${folder}/order`, 'utf8'), 'modest\nurgent\n')
      assert.ok((await runtime.listContainers()).every(({ phase }) => phase === 'exited'))
      assert.ok((await runtime.listSandboxes()).every(({ ready }) => !ready))
    })
  })
}
