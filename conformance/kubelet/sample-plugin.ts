/**
 * The device plugin with which upstream tests kubelets, unmodified, on a node of ours. By hand, not part of the tests: `node sample-plugin.ts`; see ../README.md.
 * Needs root, and Go to build it the first time.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { TestCluster } from '../lib/cluster.ts'
import { pod } from '../lib/manifests.ts'
import { start, waitFor } from '../lib/processes.ts'
import { buildSamplePlugin } from './build.ts'

/** It has two of them, `Dev-1` and `Dev-2`, whose containers see a file of that name in `/tmp`. */
const RESOURCE = 'example.com/resource'
/** It knows no other folder than the kubelet's: there is one of its own. */
const ENTER =
  'mount -t tmpfs none /var/lib && mkdir /var/lib/kubelet && mount --bind "$1" /var/lib/kubelet && exec "$2"'

describe('upstream’s sample device plugin', () => {
  let cluster: TestCluster
  let plugin: ChildProcess

  before(async () => {
    const program = await buildSamplePlugin()
    cluster = await TestCluster.create('sample')
    const folder = join(cluster.home, 'kubelet')
    await mkdir(folder)
    await cluster.up('--kubelet-dir', folder)
    plugin = start(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', ENTER, 'sh', folder, program])
    plugin.stderr?.resume() // it says the same thing without end while it stops
  })
  after(async () => {
    const gone = once(plugin, 'exit')
    plugin.kill()
    await gone
    await cluster.remove()
  })

  const user = (name: string): Pod => pod(name, { resources: { limits: { [RESOURCE]: '1' } } })
  const ready = (name: string): Promise<string> =>
    cluster.kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)
  const untilAllocatable = (count: string): Promise<unknown> =>
    waitFor(`${count} allocatable`, async () => {
      const { items } = await cluster.json<{ items: Node[] }>('get nodes')
      return items[0]!.status!.allocatable?.[RESOURCE] === count
    })
  const deviceOf = async (name: string): Promise<string> => (await cluster.exec(name, 'ls /tmp')).trim()

  it('gives its devices to pods, over a crash of the agent', async () => {
    await untilAllocatable('2')
    await cluster.apply(user('first'))
    await ready('first')
    const first = await deviceOf('first')
    const record = readFileSync(join(cluster.home, 'run/node.json'), 'utf8')
    process.kill((JSON.parse(record) as { pid: number }).pid, 'SIGKILL')
    await cluster.apply(user('second'))
    await ready('second')
    await untilAllocatable('2')
    assert.deepEqual([first, await deviceOf('second')].toSorted(), ['Dev-1', 'Dev-2'])
    await cluster.apply(user('third'))
    await cluster.eventually('describe pod third', (text) => text.includes(`Insufficient ${RESOURCE}`))
    await cluster.kubectl('delete pod first --wait')
    await ready('third')
    assert.equal(await deviceOf('third'), first)
  })

  it('keeps capacity, and gives nothing, when it ends', async () => {
    const gone = once(plugin, 'exit')
    plugin.kill()
    await gone
    await untilAllocatable('0')
    assert.match(await cluster.kubectl('get nodes -o yaml'), /capacity:\n(?: +.*\n)*? +example.com\/resource: "2"/)
  })
})
