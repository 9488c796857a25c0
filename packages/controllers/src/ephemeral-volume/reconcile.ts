import { formatKey, isStatus } from '@centaurus/api'
import { persistentvolumeclaims, pods } from '@centaurus/api/core/v1'
import { TerminalError, type RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { indexByClaim, podsUsing } from '../frame/pod-claims.ts'
import { planEphemeralClaims, refuseForeignClaim } from './plan.ts'

/** Makes the claims of pods with ephemeral volumes; they go with the pod. Source: pkg/controller/volume/ephemeral v1.37. */
export function startEphemeralVolumeController(deps: ControllerDeps): RunningController {
  const informer = deps.informers.informer(pods)
  const claims = deps.informers.informer(persistentvolumeclaims)
  indexByClaim(informer)
  return startReconciler(deps, {
    name: 'ephemeral-volume-controller',
    component: 'ephemeral_volume',
    informer,
    needs: [claims],
    watch: ({ queue }) => [
      informer.addHandler({
        onAdd(pod) {
          if (pod.spec?.volumes?.some(({ ephemeral }) => ephemeral !== undefined) === true)
            queue.add(formatKey(pod.metadata.namespace ?? '', pod.metadata.name))
        },
      }),
      claims.addHandler({
        onDelete(claim) {
          const { namespace = '', name } = claim.metadata
          for (const pod of podsUsing(informer, formatKey(namespace, name)))
            queue.add(formatKey(namespace, pod.metadata.name))
        },
      }),
    ],
    async reconcile(key, { client }) {
      const pod = informer.get(key)
      if (pod === undefined) return undefined
      for (const claim of planEphemeralClaims(pod)) {
        const known = claims.get(formatKey(claim.metadata.namespace ?? '', claim.metadata.name ?? ''))
        const obstacle = known === undefined ? undefined : refuseForeignClaim(pod, known)
        if (obstacle !== undefined) throw new TerminalError(obstacle)
        if (known !== undefined) continue
        try {
          await client.create(persistentvolumeclaims, claim)
        } catch (error) {
          if (!isStatus(error, 'AlreadyExists')) throw error
        }
      }
      return undefined
    },
  })
}
