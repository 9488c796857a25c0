/** What is made beside a TrainingJob once: a name for each worker, their gang, and a report that its workers, and nobody else of the namespace, may write. */
import { deepEqual, isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { trainingreports, type TrainingJob } from '@centaurus/api/centaurus/v1'
import { configmaps, services, type Pod } from '@centaurus/api/core/v1'
import { rolebindings, roles, type RoleBinding } from '@centaurus/api/rbac/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'
import { nameOf } from '../frame/claim.ts'
import { buildHosts, buildService, isOwnedBy, owned } from './worker-pods.ts'

/**
 * Makes what is missing; what stands in the way is returned in words. Looks at all of it before the job has its gang, and again when it goes on after it was
 * suspended; else at the gang only.
 */
export async function ensureSurroundings(
  key: string,
  context: ReconcilerContext,
  { job, groups }: { job: Stored<TrainingJob>; groups: Informer<PodGroup> },
): Promise<string | undefined> {
  const minCount = job.spec.workers.min
  const group = groups.get(key)
  const isAnew = group === undefined || job.status?.phase === 'Suspended'
  const inTheWay = isAnew ? await ensureAll(context, job) : undefined
  if (inTheWay !== undefined) return inTheWay
  if (group !== undefined && !isOwnedBy(job, group)) return notItsOwn('PodGroup', job.metadata.name)
  if (group === undefined || group.spec.schedulingPolicy.gang?.minCount === minCount) return undefined
  const spec = { ...group.spec, schedulingPolicy: { gang: { minCount } } }
  context.writes.wrote(key, groups, await context.client.update(podgroups, { ...group, spec }))
  return undefined
}

async function ensureAll(context: ReconcilerContext, job: Stored<TrainingJob>): Promise<string | undefined> {
  const { name } = job.metadata
  const reporter = owned(job, `${name}-reporter`)
  const rules = [
    {
      apiGroups: ['centaurus.io'],
      resources: ['trainingreports'],
      resourceNames: [name],
      verbs: ['get', 'patch', 'update'],
    },
  ]
  const minCount = job.spec.workers.min
  const made = [
    () => ensure(context, services, { job, wanted: buildService(job) }),
    () => ensure(context, trainingreports, { job, wanted: { metadata: owned(job, name), spec: {} } }),
    () => ensure(context, roles, { job, wanted: { metadata: reporter, rules } }),
    () => ensureBinding(context, job, { metadata: reporter, ...bindingOf(job, reporter.name) }),
    // The last one: when it is there, the others were.
    () =>
      ensure(context, podgroups, {
        job,
        wanted: { metadata: owned(job, name), spec: { schedulingPolicy: { gang: { minCount } } } },
      }),
  ]
  for (const make of made) {
    const found = await make()
    if (typeof found === 'string') return found
  }
  return undefined
}

/** Service accounts may be others after an edit. */
async function ensureBinding(
  context: ReconcilerContext,
  job: Stored<TrainingJob>,
  wanted: RoleBinding,
): Promise<string | undefined> {
  const found = await ensure(context, rolebindings, { job, wanted })
  if (typeof found === 'string') return found
  if (!deepEqual(found.subjects, wanted.subjects))
    await context.client.update(rolebindings, { ...found, subjects: wanted.subjects })
  return undefined
}

function bindingOf({ metadata, spec }: Stored<TrainingJob>, role: string): Pick<RoleBinding, 'roleRef' | 'subjects'> {
  const templates = [spec.workers.template, spec.launcher?.template].filter((each) => each !== undefined)
  const accounts = new Set(templates.map((each) => each.spec?.serviceAccountName || 'default'))
  const { namespace = '' } = metadata
  return {
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
    subjects: [...accounts].map((name) => ({ kind: 'ServiceAccount', name, namespace })),
  }
}

/** Hosts of the workers that are there, for the launcher. */
export async function writeHosts(
  context: ReconcilerContext,
  job: Stored<TrainingJob>,
  workers: readonly Stored<Pod>[],
): Promise<string | undefined> {
  const wanted = buildHosts(job, workers)
  const found = await ensure(context, configmaps, { job, wanted })
  if (typeof found === 'string') return found
  if (!deepEqual(found.data, wanted.data)) await context.client.update(configmaps, { ...found, data: wanted.data })
  return undefined
}

/** The object that is there now, or in words that it is another's: perhaps of an earlier job of the name, which goes in time. */
async function ensure<T extends KubeObject>(
  { client }: ReconcilerContext,
  type: ResourceType<T>,
  { job, wanted }: { job: Stored<TrainingJob>; wanted: T },
): Promise<Stored<T> | string> {
  const { namespace, name = '' } = wanted.metadata
  const get = (): Promise<Stored<T>> => client.get(type, nameOf({ metadata: { namespace, name } }))
  const found = await get().catch(async (error: unknown) => {
    if (!isStatus(error, 'NotFound')) throw error
    return client.create(type, wanted)
  })
  return isOwnedBy(job, found) ? found : notItsOwn(type.kind, name)
}

function notItsOwn(kind: string, name: string): string {
  return `It can't make ${kind} ${name}: another one has this name. Delete that, or give the job another name`
}
