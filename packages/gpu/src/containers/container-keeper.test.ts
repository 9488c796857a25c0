import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Informer } from '@centaurus/client'
import { NODE_NAME, startTestCluster, type TestCluster } from '../testing/cluster.ts'
import { ContainerFolders, containerKey } from './container-folders.ts'
import { ContainerKeeper } from './container-keeper.ts'

describe('ContainerKeeper', () => {
  const clock = createManualClock()
  let cluster: TestCluster
  let dir: string
  let informer: Informer<Pod>
  let keeper: ContainerKeeper
  before(async () => {
    cluster = await startTestCluster()
    dir = mkdtempSync(join(tmpdir(), 'gpu-state-'))
    informer = cluster.informers.informer(pods, { fieldSelector: `spec.nodeName=${NODE_NAME}` })
    await informer.whenSynced()
    keeper = startKeeper()
  })
  after(async () => {
    keeper.close()
    await cluster.close()
    rmSync(dir, { recursive: true })
  })

  function startKeeper(followed = informer): ContainerKeeper {
    const folders = new ContainerFolders(dir)
    const { client } = cluster
    return new ContainerKeeper({ folders, pods: followed, client, nodeName: NODE_NAME, clock, logger: silentLogger })
  }
  /** Makes the pod's containers begin, as the node agent does. */
  async function begin(
    name: string,
    allocation: Record<string, { uuid: string; memoryMiB?: number; compute?: number }[]>,
  ) {
    const pod = await cluster.createPod(name, allocation)
    const podUid = pod.metadata.uid!
    for (const [container, grants] of Object.entries(allocation)) keeper.prepare({ podUid, container }, grants)
    return {
      limits: (container: string) =>
        readFileSync(join(dir, 'containers', containerKey(podUid, container), 'limits'), 'utf8'),
      folder: (container: string) => join(dir, 'containers', containerKey(podUid, container)),
      uid: podUid,
    }
  }
  const demandsOf = (uuid: string): string[] =>
    readdirSync(join(dir, 'devices', uuid))
      .map((name) => name.replace(/-[0-9a-f]{8}$/, ''))
      .toSorted()
  /** Lets time pass until it is so. */
  async function until(isSo: () => boolean, stepMs = 50): Promise<void> {
    for (let i = 0; i < 500; i++) {
      await clock.advance(stepMs)
      if (isSo()) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.fail(`It did not get so: ${isSo}`)
  }
  const patch = (name: string, annotations: Record<string, string | null>) =>
    cluster.admin.patch(pods, { namespace: 'default', name }, { type: 'merge', body: { metadata: { annotations } } })

  it('makes what a container and its neighbours read, and what only it writes', async () => {
    const pod = await begin('first', { train: [{ uuid: 'GPU-1', memoryMiB: 1000, compute: 40 }] })
    assert.equal(pod.limits('train'), 'GPU-1 memoryMiB=1000 compute=40\n')
    const folder = pod.folder('train')
    for (const name of ['usage', 'demand']) assert.equal(statSync(join(folder, 'own', name)).mode & 0o777, 0o666)
    assert.deepEqual(readdirSync(join(folder, 'devices', 'GPU-1')), [])
    assert.deepEqual(demandsOf('GPU-1'), ['0-40-40'])
    const [name] = readdirSync(join(dir, 'devices', 'GPU-1'))
    assert.equal(statSync(join(dir, 'devices', 'GPU-1', name!)).ino, statSync(join(folder, 'own', 'demand')).ino)
  })

  it('does it again without harm', async () => {
    const allocation = { c: [{ uuid: 'GPU-2', memoryMiB: 10 }] }
    const pod = await begin('again', allocation)
    writeFileSync(join(pod.folder('c'), 'own', 'usage'), 'kept')
    const { uid } = (await cluster.admin.get(pods, { namespace: 'default', name: 'again' })).metadata
    keeper.prepare({ podUid: uid, container: 'c' }, allocation.c)
    assert.equal(readFileSync(join(pod.folder('c'), 'own', 'usage'), 'utf8'), 'kept')
    assert.deepEqual(demandsOf('GPU-2'), ['0-0-100'])
  })

  it('follows no link that a container put in place of its file', async () => {
    const allocation = { c: [{ uuid: 'GPU-00000000-0000-0000-0000-000000000001', memoryMiB: 5 }] }
    const { uid, folder } = await begin('linked', allocation)
    const secret = join(dir, 'secret')
    writeFileSync(secret, 'of the host', { mode: 0o600 })
    rmSync(join(folder('c'), 'own/usage'))
    symlinkSync(secret, join(folder('c'), 'own/usage'))
    keeper.prepare({ podUid: uid, container: 'c' }, allocation.c)
    assert.equal(statSync(secret).mode & 0o777, 0o600)
    assert.ok(lstatSync(join(folder('c'), 'own/usage')).isFile())
    await cluster.deletePod('linked')
  })

  it('changes limits and what others see of them while the container runs', async () => {
    const pod = await begin('live', { a: [{ uuid: 'GPU-3', memoryMiB: 10, compute: 30 }] })
    await patch('live', { 'centaurus.io/gpu-priority': '1' })
    await until(() => pod.limits('a') === 'GPU-3 memoryMiB=10 compute=30 priority=1\n')
    assert.deepEqual(demandsOf('GPU-3'), ['1-30-30'])
    await patch('live', { 'centaurus.io/gpu-priority': null })
    await until(() => pod.limits('a') === 'GPU-3 memoryMiB=10 compute=30\n')
    assert.deepEqual(demandsOf('GPU-3'), ['0-30-30'])
  })

  it('tells neighbours of containers that run alone', async () => {
    const grants = [{ uuid: 'GPU-4', memoryMiB: 10, compute: 30 }]
    const pod = await begin('ends', { a: grants })
    assert.deepEqual(demandsOf('GPU-4'), ['0-30-30'])
    const state = (each: object) => ({
      containerStatuses: [{ name: 'a', image: 'i', imageID: '', ready: false, restartCount: 0, state: each }],
    })
    await cluster.setStatus('ends', state({ terminated: { exitCode: 1 } }))
    await until(() => demandsOf('GPU-4').length === 0)
    await cluster.setStatus('ends', state({ terminated: null, running: {} }))
    await until(() => demandsOf('GPU-4').length === 1)
    assert.ok(existsSync(pod.folder('a')))
  })

  it('keeps a folder whose pod the API names, when the watch has not', async () => {
    keeper.close()
    const deps = { clock: systemClock, random: createSeededRandom(2), logger: silentLogger }
    const stale = createInformerFactory(cluster.client, deps)
    const late = stale.informer(pods, { fieldSelector: `spec.nodeName=${NODE_NAME}` })
    await late.whenSynced()
    await stale.close()
    const held = startKeeper(late)
    const allocation = { a: [{ uuid: 'GPU-5', memoryMiB: 10 }] }
    const podUid = (await cluster.createPod('late', allocation)).metadata.uid!
    held.prepare({ podUid, container: 'a' }, allocation.a)
    const unknown = { podUid: 'never-was', container: 'a' }
    held.prepare(unknown, allocation.a)
    await until(() => !existsSync(join(dir, 'containers', 'never-was-a')), 5_000)
    assert.ok(existsSync(join(dir, 'containers', `${podUid}-a`)))
    held.close()
    keeper = startKeeper()
  })

  it('removes folders of pods that are over or gone, also those of before it began', async () => {
    const over = await begin('over', { a: [{ uuid: 'GPU-6', memoryMiB: 10 }] })
    const gone = await begin('gone', { a: [{ uuid: 'GPU-6', memoryMiB: 10 }], b: [{ uuid: 'GPU-6', memoryMiB: 5 }] })
    const stays = await begin('stays', { a: [{ uuid: 'GPU-6', memoryMiB: 10 }] })
    keeper.close()
    keeper = startKeeper()
    await cluster.setStatus('over', { phase: 'Succeeded' })
    await cluster.deletePod('gone')
    await until(() => demandsOf('GPU-6').length === 1)
    assert.ok(existsSync(gone.folder('a')), 'its folder goes when that is certain')
    await until(
      () => !existsSync(over.folder('a')) && !existsSync(gone.folder('a')) && !existsSync(gone.folder('b')),
      5_000,
    )
    assert.ok(existsSync(stays.folder('a')))
    assert.deepEqual(demandsOf('GPU-6'), ['0-0-100'])
  })
})
