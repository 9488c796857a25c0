import { isStatus } from '@centaurus/api'
import { jobs } from '@centaurus/api/batch/v1'
import type { RunningController } from '@centaurus/client'
import { nameOf } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { watchSelf } from '../frame/owners.ts'
import { planExpiry } from './plan.ts'

/** Deletes finished Jobs after their `ttlSecondsAfterFinished`. Source: pkg/controller/ttlafterfinished v1.37. */
export function startTtlAfterFinishedController(deps: ControllerDeps): RunningController {
  const informer = deps.informers.informer(jobs)
  return startReconciler(deps, {
    name: 'ttl-after-finished-controller',
    informer,
    watch: ({ queue }) => [watchSelf(informer, queue)],
    async reconcile(key, { client, clock }) {
      const cached = informer.get(key)
      const leftMs = cached === undefined ? undefined : planExpiry(cached, clock.now())
      if (cached === undefined || leftMs === undefined) return undefined
      if (leftMs > 0) return { requeueAfterMs: leftMs }
      try {
        const job = await client.get(jobs, nameOf(cached)) // its TTL may have been raised meanwhile
        const stillMs = planExpiry(job, clock.now())
        if (stillMs === undefined || job.metadata.uid !== cached.metadata.uid) return undefined
        if (stillMs > 0) return { requeueAfterMs: stillMs }
        const { uid, resourceVersion } = job.metadata
        await client.delete(jobs, nameOf(job), {
          propagationPolicy: 'Foreground',
          preconditions: { uid, resourceVersion },
        })
      } catch (error) {
        if (!isStatus(error, 'NotFound')) throw error
      }
      return undefined
    },
  })
}
