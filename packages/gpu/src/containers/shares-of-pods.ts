import type { Pod } from '@centaurus/api/core/v1'
import { GPU_ALLOCATION_ANNOTATION, gpuRequestsOf, parseGpuAllocation, type GpuAllocation } from '@centaurus/api/gpu'
import { containerKey } from './container-folders.ts'
import type { ContainerShare } from './limits.ts'

/** What the API says of a container that was given GPUs. */
export interface KnownContainer extends ContainerShare {
  readonly pod: Pod
  readonly container: string
  /** `active`: it runs, or will; `ended`: it does not run, and may again; `over`: no container of the pod runs again. */
  readonly state: 'active' | 'ended' | 'over'
}

/** Containers of these pods that were given GPUs, by `containerKey`. Pure. */
export function sharesOfPods(pods: readonly Pod[]): Map<string, KnownContainer> {
  const known = new Map<string, KnownContainer>()
  for (const pod of pods) {
    for (const [container, grants] of Object.entries(readAllocation(pod))) {
      const priority = priorityOf(pod, container)
      const state = stateOf(pod, container)
      known.set(containerKey(pod.metadata.uid ?? '', container), { pod, container, grants, priority, state })
    }
  }
  return known
}

/** What can't be read was given by nobody: the node agent refuses such a pod. */
function readAllocation({ metadata }: Pod): GpuAllocation {
  const text = metadata.annotations?.[GPU_ALLOCATION_ANNOTATION]
  if (text === undefined) return {}
  try {
    return parseGpuAllocation(text)
  } catch {
    return {}
  }
}

/** As the pod says now: its annotation may change while it runs. */
function priorityOf(pod: Pod, container: string): ContainerShare['priority'] {
  const requests = gpuRequestsOf(pod).requests?.containers ?? []
  return requests.find((each) => each.container === container)?.request.priority ?? 0
}

function stateOf({ status }: Pod, container: string): KnownContainer['state'] {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return 'over'
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  return all.find(({ name }) => name === container)?.state?.terminated === undefined ? 'active' : 'ended'
}
