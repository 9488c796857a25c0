import { StatusError, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { daemonsets, deployments, statefulsets } from '@centaurus/api/apps/v1'
import { cronjobs, jobs } from '@centaurus/api/batch/v1'
import { configmaps, namespaces, nodes, pods, resourcequotas, services } from '@centaurus/api/core/v1'
import type { Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Ledger } from './ledger.ts'
import {
  makeConfigMap,
  makeCronJob,
  makeDaemonSet,
  makeDeployment,
  makeJob,
  makePod,
  makeQuota,
  makeService,
  makeStatefulSet,
  type Place,
} from './objects.ts'

/** Namespaces that a run writes in; it deletes them and makes them again. */
export const NAMESPACES = ['alpha', 'beta', 'gamma'] as const

export interface WorkloadDeps {
  readonly client: Client
  readonly random: Random
  readonly ledger: Ledger
  readonly nodeNames: readonly string[]
  /** Told of every step and how it ended. */
  readonly tell: (line: string) => void
}

type Step = (deps: WorkloadDeps) => Promise<string>

interface Family {
  readonly type: ResourceType<KubeObject>
  readonly prefix: string
  readonly make: (random: Random, place: Place) => KubeObject
  /** Merge patch of a change that a user would make. */
  readonly change: (random: Random) => object
}

const changeImage = (random: Random): object => ({
  spec: { template: { metadata: { annotations: { revision: String(random.integer(4)) } } } },
})
const changeReplicas =
  (bound: number) =>
  (random: Random): object =>
    random.next() < 0.5 ? { spec: { replicas: random.integer(bound) } } : changeImage(random)

const FAMILIES = [
  { type: deployments, prefix: 'web', make: makeDeployment, change: changeReplicas(7) },
  { type: statefulsets, prefix: 'set', make: makeStatefulSet, change: changeReplicas(4) },
  { type: daemonsets, prefix: 'agent', make: makeDaemonSet, change: changeImage },
  {
    type: jobs,
    prefix: 'task',
    make: (random: Random, place: Place) => makeJob(random, place, { willFail: random.next() < 0.2 }),
    change: (random: Random) => ({ spec: { suspend: random.next() < 0.5 } }),
  },
  {
    type: cronjobs,
    prefix: 'cron',
    make: makeCronJob,
    change: (random: Random) => ({ spec: { suspend: random.next() < 0.3 } }),
  },
  {
    type: pods,
    prefix: 'pod',
    make: makePod,
    change: (random: Random) => ({ metadata: { labels: { app: `web-${random.integer(2)}` } } }),
  },
  {
    type: services,
    prefix: 'svc',
    make: makeService,
    change: (random: Random) => ({ spec: { selector: { app: `web-${random.integer(2)}` } } }),
  },
  {
    type: configmaps,
    prefix: 'config',
    make: makeConfigMap,
    change: (random: Random) => ({ data: { value: String(random.integer(1e6)) } }),
  },
  {
    type: resourcequotas,
    prefix: 'quota',
    make: makeQuota,
    change: (random: Random) => ({ spec: { hard: { pods: String(30 + random.integer(30)) } } }),
  },
] as unknown as readonly Family[] // of different objects

/** Share of the steps. */
const WEIGHTS = { create: 40, change: 30, delete: 17, namespace: 2, node: 6, pod: 4 } as const

/** One thing that a user does. Never throws: what the server refuses or leaves unanswered is told. */
export async function takeStep(deps: WorkloadDeps): Promise<void> {
  const step = chooseStep(deps.random)
  try {
    deps.tell(await step(deps))
  } catch (error) {
    const reason = error instanceof StatusError ? error.reason : 'no answer'
    deps.tell(`${step.name}: ${reason}: ${(error as Error).message}`)
    if (!(error instanceof Error) || error instanceof TypeError || isInternal(error)) throw error
  }
}

/** A server that could not be reached or whose disk is full is no bug; one that throws something unforeseen is. */
function isInternal(error: unknown): boolean {
  return (
    error instanceof StatusError &&
    error.reason === 'InternalError' &&
    !/No room on the disk|killed/.test(error.message)
  )
}

function chooseStep(random: Random): Step {
  let at = random.integer(Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0))
  const steps = { create, change, delete: remove, namespace: toggleNamespace, node: changeNode, pod: deletePod }
  for (const [name, weight] of Object.entries(WEIGHTS)) {
    at -= weight
    if (at < 0) return steps[name as keyof typeof WEIGHTS]
  }
  return create
}

function choosePlace(random: Random, { prefix }: Family): Place {
  const namespace = NAMESPACES[random.integer(NAMESPACES.length)]!
  return { namespace, name: `${prefix}-${random.integer(2)}` }
}

/** One that is there, if there is one. */
async function chooseExisting(client: Client, random: Random, family: Family): Promise<Place> {
  const items = (await client.list(family.type)).items.filter(
    ({ metadata }) =>
      (NAMESPACES as readonly string[]).includes(metadata.namespace ?? '') &&
      metadata.name.startsWith(`${family.prefix}-`),
  )
  if (items.length === 0) return choosePlace(random, family)
  const { namespace = '', name } = items[random.integer(items.length)]!.metadata
  return { namespace, name }
}

function chooseFamily(random: Random): Family {
  return FAMILIES[random.integer(FAMILIES.length)]!
}

async function create({ client, random, ledger }: WorkloadDeps): Promise<string> {
  const family = chooseFamily(random)
  const place = choosePlace(random, family)
  const made = await client.create(family.type, family.make(random, place))
  ledger.put(family.type, made)
  return `created ${name(family, place)} at ${made.metadata.resourceVersion}`
}

async function change({ client, random, ledger }: WorkloadDeps): Promise<string> {
  const family = chooseFamily(random)
  const place = await chooseExisting(client, random, family)
  const body = family.change(random)
  const changed = await client.patch(family.type, place, { type: 'merge', body })
  ledger.put(family.type, changed)
  return `changed ${name(family, place)} with ${JSON.stringify(body)} at ${changed.metadata.resourceVersion}`
}

async function remove({ client, random, ledger }: WorkloadDeps): Promise<string> {
  const family = chooseFamily(random)
  const place = await chooseExisting(client, random, family)
  const policies = ['Background', 'Foreground', 'Orphan'] as const
  const propagationPolicy = policies[random.integer(random.next() < 0.2 ? 3 : 2)]!
  const { metadata } = await client.get(family.type, place)
  const preconditions = { uid: metadata.uid }
  await client.delete(family.type, place, { propagationPolicy, preconditions })
  ledger.deleted(family.type, { ...place, uid: metadata.uid })
  return `deleted ${name(family, place)} (${propagationPolicy})`
}

async function toggleNamespace({ client, random, ledger }: WorkloadDeps): Promise<string> {
  const namespace = NAMESPACES[random.integer(NAMESPACES.length)]!
  const found = await client.get(namespaces, { name: namespace }).catch(() => undefined)
  if (found === undefined) {
    ledger.put(untyped(namespaces), await client.create(namespaces, { metadata: { name: namespace } }))
    return `created namespace ${namespace}`
  }
  await client.delete(namespaces, { name: namespace }, { preconditions: { uid: found.metadata.uid } })
  ledger.deleted(untyped(namespaces), { name: namespace, uid: found.metadata.uid })
  return `deleted namespace ${namespace}`
}

async function changeNode({ client, random, nodeNames }: WorkloadDeps): Promise<string> {
  const nodeName = nodeNames[random.integer(nodeNames.length)]!
  const cordon = { spec: { unschedulable: random.next() < 0.5 } }
  if (random.next() < 0.5) {
    await client.patch(nodes, { name: nodeName }, { type: 'merge', body: cordon })
    return `node ${nodeName}: ${JSON.stringify(cordon)}`
  }
  const node = await client.get(nodes, { name: nodeName })
  const others = (node.spec?.taints ?? []).filter(({ key }) => key !== 'chaos')
  const taints = random.next() < 0.5 ? others : [...others, { key: 'chaos', value: 'yes', effect: 'NoSchedule' }]
  await client.update(nodes, { ...node, spec: { ...node.spec, taints } })
  return `node ${nodeName}: taints ${JSON.stringify(taints)}`
}

/** As somebody who deletes a pod to see it come back. */
async function deletePod({ client, random, ledger }: WorkloadDeps): Promise<string> {
  const namespace = NAMESPACES[random.integer(NAMESPACES.length)]!
  const { items } = await client.list(pods, { namespace })
  if (items.length === 0) return `no pod to delete in ${namespace}`
  const pod: Stored<KubeObject> = items[random.integer(items.length)]!
  const options = random.next() < 0.2 ? { gracePeriodSeconds: 0 } : {}
  const place = { namespace, name: pod.metadata.name }
  await client.delete(pods, place, { ...options, preconditions: { uid: pod.metadata.uid } })
  ledger.deleted(untyped(pods), { ...place, uid: pod.metadata.uid })
  return `deleted pod ${namespace}/${place.name}${options.gracePeriodSeconds === 0 ? ' at once' : ''}`
}

function name({ type }: Family, place: Place): string {
  return `${type.resource} ${place.namespace}/${place.name}`
}

function untyped<T extends KubeObject>(type: ResourceType<T>): ResourceType<KubeObject> {
  return type as unknown as ResourceType<KubeObject>
}
