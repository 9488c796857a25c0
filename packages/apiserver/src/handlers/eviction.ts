import {
  badRequest,
  formatTime,
  internalError,
  isStatus,
  notFound,
  selectorFromObject,
  StatusError,
  tooManyRequests,
  type Stored,
} from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { poddisruptionbudgets, type Eviction, type PodDisruptionBudget } from '@centaurus/api/policy/v1'
import type { Status } from '@centaurus/api/meta/v1'
import { reviewOwnKind } from '../admission/review-write.ts'
import { createTarget, groupResource, type WriteRequest } from '../resource/target.ts'
import { CREATED } from './binding.ts'
import { deleteObject } from './delete.ts'
import { statusStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'
import { updateObject } from './update.ts'
import { runWriteChecks } from './write-checks.ts'

const RETRY_SECONDS = 10
const TERMINAL_PHASES = new Set(['Succeeded', 'Failed'])

/**
 * Deletes a Pod if its disruption budget allows it. Throws TooManyRequests when it does not, now.
 * Source: kubernetes pkg/registry/core/pod/storage/eviction.go, v1.37.
 */
export async function evictPod(
  deps: ServeDeps,
  request: WriteRequest,
  { name, eviction: sent }: { readonly name: string; readonly eviction: Eviction },
): Promise<Status> {
  const given = sent.metadata?.name ?? ''
  if (given !== '' && given !== name) throw badRequest('name in URL does not match name in Eviction object')
  const { target, namespace } = request
  await deps.cache.waitCurrent()
  const pod = target.cache.get(`${namespace}/${name}`)?.object() as Stored<Pod> | undefined
  if (pod === undefined) throw notFound(groupResource(target), name)
  const draft = sent as Eviction & { metadata: NonNullable<Eviction['metadata']> }
  draft.metadata ??= {}
  runWriteChecks(deps, { request, operation: 'create', subresource: 'eviction', draft, old: pod })
  const eviction = await reviewOwnKind(deps.admissionContext, request, {
    operation: 'CREATE',
    subresource: 'eviction',
    name,
    object: { ...draft, metadata: { ...draft.metadata, namespace } },
    kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
  })
  const needsBudget = !canBeIgnored(pod)
  if (needsBudget) await takeFromBudget(deps, request, pod)
  const options = { ...eviction.deleteOptions }
  options.preconditions ??= { uid: pod.metadata.uid }
  await deleteObject(deps, request, { name, options, isReviewed: true })
  return CREATED
}

/** Pods that are over, not yet begun, or on their way out disturb nobody. */
function canBeIgnored({ metadata, status }: Pod): boolean {
  const phase = status?.phase ?? ''
  return TERMINAL_PHASES.has(phase) || phase === 'Pending' || metadata.deletionTimestamp !== undefined
}

async function takeFromBudget(deps: ServeDeps, request: WriteRequest, pod: Stored<Pod>): Promise<void> {
  const { reader } = deps.admissionContext
  const budgets = reader
    .list(poddisruptionbudgets, request.namespace, { tenant: request.target.tenant })
    .filter((budget) => selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels))
  if (budgets.length === 0) return
  if (budgets.length > 1) {
    const text = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.'
    throw internalErrorWithMessage(text)
  }
  const budget = budgets[0]!
  if (!isReady(pod) && ignoresUnready(budget)) return
  const definition = deps.registry.findResource('policy', 'poddisruptionbudgets')!
  const target = createTarget(deps.cache, definition, request.target.tenant)
  const name = budget.metadata.name
  try {
    await updateObject(
      deps,
      { ...request, target, fieldManager: 'centaurus' },
      {
        name,
        strategy: { ...statusStrategy(deps, definition), isReviewed: true },
        change: (old) => takeDisruption(old as PodDisruptionBudget, pod.metadata.name, formatTime(deps.clock.now())),
      },
    )
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}

function takeDisruption(budget: PodDisruptionBudget, pod: string, nowText: string): PodDisruptionBudget {
  const { metadata, status } = budget
  const name = metadata.name ?? ''
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    throw refuse(`The disruption budget ${name} is still being processed by the server.`)
  }
  const allowed = status?.disruptionsAllowed ?? 0
  if (allowed <= 0) {
    throw refuse(
      `The disruption budget ${name} needs ${status?.desiredHealthy ?? 0} healthy pods and has ${status?.currentHealthy ?? 0} currently`,
    )
  }
  return {
    ...budget,
    metadata: { ...metadata },
    status: {
      ...status!,
      disruptionsAllowed: allowed - 1,
      disruptedPods: { ...status?.disruptedPods, [pod]: nowText },
    },
  }
}

function refuse(message: string): StatusError {
  const error = tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", RETRY_SECONDS)
  return new StatusError({
    reason: 'TooManyRequests',
    message: error.message,
    details: { ...error.details, causes: [{ reason: 'DisruptionBudget', message }] },
  })
}

function internalErrorWithMessage(text: string): StatusError {
  return internalError(new Error(text))
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true
}

function ignoresUnready({ spec, status }: PodDisruptionBudget): boolean {
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  const healthy = status?.currentHealthy ?? 0
  const desired = status?.desiredHealthy ?? 0
  return healthy >= desired && desired > 0
}
