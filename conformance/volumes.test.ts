import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { waitFor } from './lib/processes.ts'

interface Volume {
  readonly spec: { readonly local: { readonly path: string } }
}

describe('volumes of a fresh cluster', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('volumes')
    await cluster.up()
    await cluster.kubectl('apply -f examples/volumes.yaml')
    await cluster.kubectl('-n volumes rollout status statefulset/store --timeout=90s')
  })
  after(() => cluster?.remove())

  const log = (pod: string): Promise<string> => cluster.exec(`-n volumes ${pod}`, 'cat /data/log')

  async function pathOf(claim: string): Promise<string> {
    const name = await cluster.kubectl(`-n volumes get pvc ${claim} -o jsonpath={.spec.volumeName}`)
    return (await cluster.json<Volume>(`get pv ${name}`)).spec.local.path
  }

  it('binds claims of the default class when their pods come', async () => {
    assert.match(
      await cluster.kubectl('get storageclass'),
      /local \(default\)\s+centaurus\.io\/local\s+Delete\s+WaitForFirstConsumer/,
    )
    assert.match(await cluster.kubectl('-n volumes get pvc'), /data-store-0\s+Bound\s+pvc-\S+\s+1Gi\s+RWO\s+local/)
    assert.match(await cluster.kubectl('get pv'), /volumes\/data-store-1\s+local/)
    await cluster.kubectl('-n volumes wait --for=condition=Ready pod/writer --timeout=60s')
    assert.ok(existsSync(join(await pathOf('shared'), 'first', 'date')), 'a sub-path is a folder of the volume')
  })

  it('keeps what a pod wrote for the next of its name', async () => {
    assert.equal(await log('store-0'), 'store-0\n')
    await cluster.kubectl('-n volumes delete pod store-0')
    await cluster.kubectl('-n volumes rollout status statefulset/store --timeout=60s')
    assert.equal(await log('store-0'), 'store-0\nstore-0\n')
    assert.equal(await log('store-1'), 'store-1\n')
  })

  it('lets a user that is not root write, by its group', async () => {
    const listing = await cluster.exec('-n volumes store-0', 'stat -c "%a %g" /data; id -G')
    assert.match(listing, /^2777 2000\n.*\b2000\b/)
  })

  it('keeps a claim while a pod uses it, then removes the data with it', async () => {
    const path = await pathOf('shared')
    await cluster.kubectl('-n volumes delete pvc shared --wait=false')
    assert.match(await cluster.kubectl('-n volumes get pvc shared'), /Terminating/)
    assert.ok(existsSync(path))
    await cluster.kubectl('-n volumes delete pod writer')
    await cluster.kubectl('-n volumes wait --for=delete pvc/shared --timeout=30s')
    await waitFor(`removal of ${path}`, async () => !existsSync(path) || undefined)
    await cluster.eventually('get pv', (out) => !out.includes('volumes/shared'))
  })

  it('refuses to grow a claim of a class that cannot', async () => {
    const body = '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}'
    const grown = await cluster.tryKubectl(['-n', 'volumes', 'patch', 'pvc', 'data-store-0', '-p', body])
    assert.notEqual(grown.code, 0)
    assert.match(grown.stderr, /the storageclass that provisions the pvc must support resize/)
  })

  it('has the data after down and up', async () => {
    await cluster.mustCentaurus(['down'])
    await cluster.up()
    await cluster.kubectl('-n volumes rollout status statefulset/store --timeout=90s')
    // The pods ran on meanwhile, so nothing waits for the agent that answers an exec.
    await cluster.eventually('-n volumes exec store-1 -- cat /data/log', (out) => out.startsWith('store-1\n'))
    await cluster.kubectl('delete storageclass local')
    await cluster.mustCentaurus(['down'])
    await cluster.up()
    assert.equal(await cluster.kubectl('get storageclass -o name'), '', 'what a user deleted stays so')
    const folder = join(await pathOf('data-store-0'), '..')
    await cluster.kubectl('delete -f examples/volumes.yaml --ignore-not-found --timeout=90s')
    await waitFor(`emptiness of ${folder}`, async () => readdirSync(folder).length === 0 || undefined)
  })
})
