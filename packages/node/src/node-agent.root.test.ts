import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { BUSYBOX, startContainerdWorld, type ContainerdWorld } from './testing/containerd-world.ts'
import { isInNamespaces, runInNamespaces } from './testing/namespaces.ts'
import { consoleLogger } from './testing/console-logger.ts'

if (!isInNamespaces()) {
  describe('a node agent on containerd', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('a node agent on containerd', () => {
    let world: ContainerdWorld
    before(async () => {
      world = await startContainerdWorld({ logger: consoleLogger })
    })
    after(() => world?.close())

    it('runs a pod and says so', async () => {
      await world.createPod('web', {
        containers: [{ name: 'main', image: BUSYBOX, command: ['sh', '-c', 'echo hello; sleep 1000'] }],
      })
      const pod = await world.waitForPod('web', ({ status }) => status?.phase === 'Running')
      assert.match(pod.status?.podIP ?? '', /^10\.244\.7\.\d+$/)
      assert.equal(pod.status?.qosClass, 'BestEffort')
      assert.equal(pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
    })

    it('deletes it with grace', async () => {
      world.client.deleteGracefully(
        (await import('@centaurus/api/core/v1')).pods,
        { namespace: 'default', name: 'web' },
        1,
      )
      await world.waitUntilGone('web')
    })
  })
}
