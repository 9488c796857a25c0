import type { PodSpec } from '../../generated/types/core/v1.ts'
import { isSidecar } from '../../kinds/pod/resources.ts'

/**
 * `init` runs before `main`, beside the sidecars, and uses devices that others of the pod will have; `sidecar` and `main` run together and
 * share nothing.
 */
export type GpuRole = 'init' | 'sidecar' | 'main'

/** The role of each container of a pod, by name. */
export function gpuRolesOf({ initContainers = [] }: Readonly<PodSpec>): (container: string) => GpuRole {
  const roles = new Map(initContainers.map((each) => [each.name, isSidecar(each) ? 'sidecar' : 'init']))
  return (container) => (roles.get(container) ?? 'main') as GpuRole
}
