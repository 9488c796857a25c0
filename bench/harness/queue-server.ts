/**
 * One run of queues with a real API server (memory store, admission, validation) and their controller, in a process of its own: `node queue-server.ts WORKLOADS`.
 * Jobs come, are held back, admitted, started, evicted and end as in `queue-load.ts`, in a twentieth of the time. Prints one JSON object.
 */
import { createApiServer, createQueueExtension } from '@centaurus/apiserver'
import { isConditionTrue, objectKey, type Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { QUEUE_LABEL, queuedworkloads, queues, type QueuedWorkload } from '@centaurus/api/centaurus/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { startQueueController } from '@centaurus/controllers'
import { createMemoryStore } from '@centaurus/store'
import { BASELINE, settingsOf, workloadsOf } from './queue-load.ts'

export interface QueueServerFigures {
  /** From the first Job until the last one's workload has finished. */
  readonly perSecond: number
  readonly cpuMicrosPerWorkload: number
  readonly evictions: number
}

const FASTER = 20
const WAIT_MS_MAX = 300_000
const NAMESPACE = 'default'

async function run(count: number): Promise<QueueServerFigures> {
  const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
  const store = createMemoryStore()
  const server = createApiServer({ store, ...deps, extensions: [createQueueExtension()] })
  await server.start()
  const client = server.client()
  const informers = createInformerFactory(client, deps)
  const controller = startQueueController({ client, informers, ...deps })
  await addQueues(client)
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const allFinished = Promise.withResolvers<void>()
  const timeout = setTimeout(
    () => allFinished.reject(new Error(`${finished.size} of ${count} finished in time`)),
    WAIT_MS_MAX,
  )
  const finished = new Set<string>()
  let evictions = 0
  informers.informer(queuedworkloads).addHandler({
    onUpdate(workload, old) {
      if (became('Evicted', workload, old)) evictions++
      if (!became('Finished', workload, old)) return
      finished.add(objectKey(workload))
      if (finished.size === count) allFinished.resolve()
    },
  })
  runJobs(client, informers.informer(jobs))
  await addJobs(client, count)
  await allFinished.promise
  const [ended, cpu] = [performance.now(), process.cpuUsage(cpuBefore)]
  clearTimeout(timeout)
  await controller.close()
  await informers.close()
  await server.close()
  await store.close()
  return {
    perSecond: (count * 1_000) / (ended - began),
    cpuMicrosPerWorkload: (cpu.user + cpu.system) / count,
    evictions,
  }
}

function became(type: string, now: Stored<QueuedWorkload>, old: Stored<QueuedWorkload>): boolean {
  return isConditionTrue(now.status?.conditions, type) && !isConditionTrue(old.status?.conditions, type)
}

/** Plays the Job controller and nodes: what is not suspended ends after its run time, from anew after each suspension. */
function runJobs(client: Client, informer: ReturnType<ReturnType<typeof createInformerFactory>['informer']>): void {
  const end = async (key: { namespace: string; name: string }): Promise<void> => {
    const job = (await client.get(jobs, key)) as Stored<Job>
    if (job.spec?.suspend === true) return
    const condition = { type: 'Complete', status: 'True', lastTransitionTime: new Date().toISOString() }
    const times = { startTime: job.metadata.creationTimestamp, completionTime: condition.lastTransitionTime }
    const before = { ...condition, type: 'SuccessCriteriaMet' }
    await client.updateStatus(jobs, { ...job, status: { ...times, succeeded: 1, conditions: [before, condition] } })
  }
  const timers = new Map<string, NodeJS.Timeout>()
  const look = (object: Stored<Job>): void => {
    const key = objectKey(object)
    const isDone = isConditionTrue(object.status?.conditions as never, 'Complete')
    if (object.spec?.suspend === true || isDone) {
      clearTimeout(timers.get(key))
      timers.delete(key)
    } else if (!timers.has(key)) {
      const runtimeMs = Number(object.metadata.annotations?.['runtime-ms'])
      const { namespace = '', name } = object.metadata
      const attempt = (): void => void end({ namespace, name }).catch(() => setTimeout(attempt, 1))
      timers.set(key, setTimeout(attempt, runtimeMs))
    }
  }
  informer.addHandler({
    onAdd: (object) => look(object as Stored<Job>),
    onUpdate: (object) => look(object as Stored<Job>),
  })
}

async function addQueues(client: Client): Promise<void> {
  for (const { name, value } of BASELINE.classes.map(({ name, priority: value }) => ({ name, value })))
    await client.create(priorityclasses, { metadata: { name }, value })
  for (const { name, parent, quotas } of settingsOf(BASELINE)) {
    const resources = [...quotas].map(([resource, { nominal, borrowingLimit }]) => ({
      name: resource,
      nominalQuota: String(nominal),
      borrowingLimit: String(borrowingLimit),
    }))
    await client.create(queues, { metadata: { name }, spec: { parent, resources, reserveAfterSeconds: 5 } })
  }
}

async function addJobs(client: Client, count: number): Promise<void> {
  const all = workloadsOf(BASELINE)
    .toSorted((a, b) => a.createdMs - b.createdMs)
    .slice(0, count)
  const beganMs = performance.now()
  for (const { id, createdMs, workload, kind } of all) {
    const waitMs = createdMs / FASTER - (performance.now() - beganMs)
    if (waitMs > 1) await systemClock.sleep(waitMs)
    const resources = { requests: { cpu: String(kind.request) } }
    const containers = [{ name: 'main', image: 'busybox', resources }]
    await client.create(jobs, {
      metadata: {
        name: id,
        namespace: NAMESPACE,
        labels: { [QUEUE_LABEL]: workload.queue },
        annotations: { 'runtime-ms': String(kind.runtimeMs / FASTER) },
      },
      spec: { template: { spec: { restartPolicy: 'Never', priorityClassName: kind.name, containers } } },
    })
  }
}

process.stdout.write(`${JSON.stringify(await run(Number(process.argv[2])))}\n`)
