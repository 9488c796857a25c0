import assert from 'node:assert/strict'
import { once } from 'node:events'
import { it } from 'node:test'
import { isConditionTrue, objectKey, type Stored } from '@centaurus/api'
import { jobs } from '@centaurus/api/batch/v1'
import { QUEUE_LABEL, queuedworkloads, queues, type QueuedWorkload } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { createQueueExtension } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { startJobController } from '../job/reconcile.ts'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startQueueController } from './reconcile.ts'

const ROOM = 6
const JOBS = 25
/** Of one life of the controller, at most. */
const WRITES_MAX = 12
const NAMESPACE = 'default'

/** The client of a process that dies with its last write, of which it hears no more: from then on nothing that it asks for happens. */
function mortal(client: Client, writes: number): { readonly client: Client; readonly death: Promise<void> } {
  const { promise: death, resolve: die } = Promise.withResolvers<void>()
  let left = writes
  const guard =
    <A extends unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (left-- <= 0) throw new Error('killed')
      if (left > 0) return write.apply(client, args)
      await write.apply(client, args).finally(die)
      throw new Error('killed')
    }
  return {
    death,
    client: {
      get: (...args) => client.get(...args),
      list: (...args) => client.list(...args),
      watch: (...args) => client.watch(...args),
      getSubresource: (...args) => client.getSubresource(...args),
      create: guard(client.create) as Client['create'],
      update: guard(client.update) as Client['update'],
      updateStatus: guard(client.updateStatus) as Client['updateStatus'],
      patch: guard(client.patch) as Client['patch'],
      delete: guard(client.delete) as Client['delete'],
      deleteCollection: guard(client.deleteCollection) as Client['deleteCollection'],
      createSubresource: guard(client.createSubresource) as Client['createSubresource'],
      updateSubresource: guard(client.updateSubresource) as Client['updateSubresource'],
      close: () => client.close(),
    },
  }
}

/** Plays nodes: what may run ends well after a while. */
function endPods({ client, informers }: ControlPlane, random: ReturnType<typeof createSeededRandom>): () => void {
  const seen = new Set<string>()
  const run = async (pod: Stored<Pod>): Promise<void> => {
    if (seen.has(pod.metadata.uid) || pod.metadata.deletionTimestamp !== undefined) return
    seen.add(pod.metadata.uid)
    await systemClock.sleep(10 + random.integer(60))
    await client.updateStatus(pods, { ...pod, status: { phase: 'Succeeded' } }).catch(() => {})
  }
  const remove = async ({ metadata: { namespace, name } }: Stored<Pod>): Promise<void> => {
    await client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0 }).catch(() => {})
  }
  const onPod = (pod: Stored<Pod>): void => void (pod.metadata.deletionTimestamp === undefined ? run(pod) : remove(pod))
  return informers.informer(pods).addHandler({ onAdd: onPod, onUpdate: onPod })
}

it('a queue controller that is killed again and again admits nobody twice, and loses nobody', async () => {
  const random = createSeededRandom(11)
  const plane = await startControlPlane({ controllers: [startJobController], extensions: [createQueueExtension()] })
  const stopPods = endPods(plane, random)
  const used = new Map<string, number>()
  let [most, kills] = [0, 0]
  const count = (object: Stored<QueuedWorkload>): void => {
    const { conditions, admission } = object.status ?? {}
    const holds = isConditionTrue(conditions, 'QuotaReserved') && !isConditionTrue(conditions, 'Finished')
    used.set(objectKey(object), holds ? (admission?.podSets[0]?.count ?? 0) : 0)
    most = Math.max(
      most,
      [...used.values()].reduce((sum, each) => sum + each, 0),
    )
  }
  const stopCounting = plane.informers.informer(queuedworkloads).addHandler({ onAdd: count, onUpdate: count })
  for (const name of ['top', 'a', 'b']) {
    const spec = name === 'top' ? {} : { parent: 'top', resources: [{ name: 'cpu', nominalQuota: String(ROOM / 2) }] }
    await plane.client.create(queues, { metadata: { name }, spec })
  }
  const isOver = new AbortController()
  const live = async (): Promise<void> => {
    while (!isOver.signal.aborted) {
      const { client, death } = mortal(plane.client, 2 + random.integer(WRITES_MAX))
      const informers = createInformerFactory(client, { logger: silentLogger, random })
      const controller = startQueueController({ client, informers, clock: systemClock, random, logger: silentLogger })
      await Promise.race([death, isOver.signal.aborted || once(isOver.signal, 'abort')])
      if (!isOver.signal.aborted) kills++
      await controller.close()
      await informers.close()
    }
  }
  const life = live()
  for (let i = 0; i < JOBS; i++) {
    const containers = [{ name: 'main', image: 'busybox', resources: { requests: { cpu: '1' } } }]
    const parallelism = 1 + random.integer(3)
    await plane.client.create(jobs, {
      metadata: { name: `job-${i}`, namespace: NAMESPACE, labels: { [QUEUE_LABEL]: i % 3 === 0 ? 'b' : 'a' } },
      spec: { parallelism, completions: parallelism, template: { spec: { restartPolicy: 'Never', containers } } },
    })
    await systemClock.sleep(random.integer(30))
  }
  try {
    await plane.eventually(async () => {
      const { items } = await plane.client.list(jobs, { namespace: NAMESPACE })
      return items.every(({ status }) => isConditionTrue(status?.conditions, 'Complete'))
    })
    await plane.eventually(async () => {
      const { items } = await plane.client.list(queuedworkloads, { namespace: NAMESPACE })
      return items.length === JOBS && items.every(({ status }) => isConditionTrue(status?.conditions, 'Finished'))
    })
  } finally {
    isOver.abort()
    await life
    stopCounting()
    stopPods()
    await plane.close()
  }
  assert.ok(most <= ROOM && most > ROOM / 2, `at most ${most} of ${ROOM} were used at once`)
  assert.ok(kills >= 5, `${kills} kills show little`)
})
