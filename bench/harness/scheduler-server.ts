/**
 * One run of the scheduler with a real API server (memory store, admission, validation) in a process of its own:
 * `node scheduler-server.ts SHAPE NODES PODS`. Prints one JSON object.
 */
import { createApiServer } from '@centaurus/apiserver'
import { nodes as nodeType, pods as podType } from '@centaurus/api/core/v1'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { startScheduler } from '@centaurus/scheduler'
import { createMemoryStore } from '@centaurus/store'
import { addObjects } from './scheduler-cluster.ts'
import { nodeOf, podOf, type Shape } from './scheduler-shapes.ts'

export interface ServerFigures {
  /** From the start of the scheduler, which finds the pods waiting, until the last one is bound. */
  readonly podsPerSecond: number
  readonly bound: number
  /** Time of the process on its cores, for one pod. */
  readonly cpuMicrosPerPod: number
}

const WAIT_MS_MAX = 120_000
const CHURN_MS = 20

async function run(shape: Shape, nodes: number, pods: number): Promise<ServerFigures> {
  const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
  const store = createMemoryStore()
  const server = createApiServer({ store, ...deps })
  await server.start()
  const client = server.client()
  const informers = createInformerFactory(client, deps)
  await addObjects(client, shape, { nodes, pods })
  const podInformer = informers.informer(podType)
  informers.informer(nodeType)
  await informers.whenSynced()
  const churn = shape === 'churn' ? startChurn(client) : undefined
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const allBound = Promise.withResolvers<number>()
  let bound = 0
  const timeout = setTimeout(() => allBound.reject(new Error(`${bound} of ${pods} pods bound in time`)), WAIT_MS_MAX)
  podInformer.addHandler({
    onUpdate(pod, old) {
      if (!pod.spec?.nodeName || old.spec?.nodeName || !pod.metadata.name.startsWith('pod-')) return
      if (++bound === pods) allBound.resolve(performance.now())
    },
  })
  const scheduler = startScheduler({ client, informers, ...deps })
  const ended = await allBound.promise
  const cpu = process.cpuUsage(cpuBefore)
  clearTimeout(timeout)
  await churn?.stop()
  await scheduler.close()
  await informers.close()
  await server.close()
  await store.close()
  return { podsPerSecond: (pods * 1_000) / (ended - began), bound, cpuMicrosPerPod: (cpu.user + cpu.system) / pods }
}

/** Pods that fit nowhere and nodes that come and go, as upstream's mixed churn. */
function startChurn(client: Client): { stop(): Promise<void> } {
  let round = 0
  const abort = new AbortController()
  const churn = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      const name = `churn-${round++}`
      const huge = podOf('preemption', round)
      const containers = [{ ...huge.spec!.containers[0]!, resources: { requests: { cpu: '40' } } }]
      await client.create(podType, { ...huge, metadata: { name, namespace: 'default' }, spec: { containers } })
      const node = nodeOf(10_000_000 + round)
      await client.create(nodeType, { ...node, metadata: { ...node.metadata, name } })
      await systemClock.sleep(CHURN_MS)
      await client.delete(podType, { namespace: 'default', name }, { gracePeriodSeconds: 0 })
      await client.delete(nodeType, { name })
    }
  }
  const running = churn()
  return {
    async stop() {
      abort.abort()
      await running
    },
  }
}

const [shape, nodes, pods] = process.argv.slice(2)
process.stdout.write(JSON.stringify(await run(shape as Shape, Number(nodes), Number(pods))))
