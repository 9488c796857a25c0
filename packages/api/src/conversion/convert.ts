import type { HorizontalPodAutoscaler as AutoscalerV1 } from '../generated/types/autoscaling/v1.ts'
import type { HorizontalPodAutoscaler as AutoscalerV2 } from '../generated/types/autoscaling/v2.ts'
import type { Event as CoreEvent } from '../generated/types/core/v1.ts'
import type { Event as EventV1 } from '../generated/types/events/v1.ts'
import type { KubeObject } from '../kinds/behavior.ts'
import { autoscalerV1FromV2, autoscalerV2FromV1 } from './autoscalers.ts'
import { convertDevices } from './devices.ts'
import { coreEventFromV1, v1EventFromCore } from './events.ts'

const RESOURCE_GROUP = 'resource.k8s.io/'
const OLD_RESOURCE = 'resource.k8s.io/v1beta1'

/**
 * The object of a built-in kind in another version that it is served in, which `toVersion` names as `apiVersion` does: `v1`,
 * `autoscaling/v2`. The object itself when it has that version already; otherwise a new one that shares parts with it.
 * Versions of one shape differ by name only. Does not check that the kind is served in the version. Cost: the fields that differ.
 */
export function convertObject(object: Readonly<KubeObject>, toVersion: string): KubeObject {
  const { apiVersion = '', kind } = object
  if (apiVersion === toVersion) return object
  if (kind === 'Event' && toVersion === 'v1') return coreEventFromV1(object as EventV1)
  if (kind === 'Event' && toVersion === 'events.k8s.io/v1') return v1EventFromCore(object as CoreEvent)
  if (kind === 'HorizontalPodAutoscaler') {
    return toVersion === 'autoscaling/v1'
      ? autoscalerV1FromV2(object as AutoscalerV2)
      : autoscalerV2FromV1(object as AutoscalerV1)
  }
  const renamed: KubeObject = { ...object, apiVersion: toVersion }
  if (!apiVersion.startsWith(RESOURCE_GROUP)) return renamed
  if (toVersion === OLD_RESOURCE) return convertDevices(renamed, 'flatten')
  return apiVersion === OLD_RESOURCE ? convertDevices(renamed, 'nest') : renamed
}
