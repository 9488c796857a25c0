import type { Pod } from '../../generated/types/core/v1.ts'
import { FieldPath, type FieldError } from '../../status/field-error.ts'
import { GPU_CONSTRAINT_ANNOTATIONS, readGpuConstraints, type GpuConstraints } from './constraints.ts'
import { gpuRequestOf, mentionsGpu, type GpuRequest } from './request.ts'
import { gpuRolesOf, type GpuRole } from './roles.ts'

/** GPUs of one container of a pod. */
export interface ContainerGpuRequest {
  readonly container: string
  readonly role: GpuRole
  readonly request: GpuRequest
}

/** GPUs of a pod. */
export interface PodGpuRequests {
  /** In the order in which the containers start: init containers and sidecars, then the others. */
  readonly containers: readonly ContainerGpuRequest[]
  readonly constraints: GpuConstraints
}

export interface SaidPodGpuRequests {
  /** Undefined: the pod asks for no GPUs, or `errors`. */
  readonly requests: PodGpuRequests | undefined
  /** Everything that means nothing, each with what to do. */
  readonly errors: readonly FieldError[]
}

type PodParts = Pick<Readonly<Pod>, 'metadata' | 'spec'>

const NONE: SaidPodGpuRequests = Object.freeze({ requests: undefined, errors: Object.freeze([]) })

/** Whether a pod says anything of GPUs. Cheap: a look at the names of its resources. */
export function podMentionsGpu({ spec }: PodParts): boolean {
  return (spec?.containers ?? []).some(mentionsGpu) || (spec?.initContainers ?? []).some(mentionsGpu)
}

/** Reads what a pod asks for: containers' resources by all their names, and annotations. Priorities of the pod are those of its containers. */
export function gpuRequestsOf({ metadata, spec }: PodParts): SaidPodGpuRequests {
  const annotations = metadata.annotations ?? {}
  const isSaid = podMentionsGpu({ metadata, spec })
  if (!isSaid && !GPU_CONSTRAINT_ANNOTATIONS.some((name) => annotations[name] !== undefined)) return NONE
  const { constraints, errors: wrong } = readGpuConstraints(metadata.annotations)
  const errors = [...wrong]
  const containers: ContainerGpuRequest[] = []
  const root = new FieldPath('spec')
  const roleOf = gpuRolesOf(spec ?? { containers: [] })
  for (const field of ['initContainers', 'containers'] as const) {
    for (const [i, container] of (spec?.[field] ?? []).entries()) {
      const said = gpuRequestOf(container, root.child(field).index(i))
      errors.push(...said.errors)
      if (said.request === undefined) continue
      const priority = said.request.priority ?? constraints.priority
      const request = priority === undefined ? said.request : { ...said.request, priority }
      containers.push({ container: container.name, role: roleOf(container.name), request })
    }
  }
  const isUsable = errors.length === 0 && containers.length > 0
  return { requests: isUsable ? { containers, constraints } : undefined, errors }
}
