import type { ContainerConfig, ContainerMount } from '../runtime/config.ts'
import type { ContainerResponse } from './protocol/messages.ts'

/** What a container's configuration gets for its devices. */
export interface ContainerDevices {
  /** What the container itself says of a variable counts more. */
  readonly envs: ReadonlyMap<string, string>
  readonly mounts: readonly ContainerMount[]
  readonly devices: ContainerConfig['devices']
  readonly annotations: Readonly<Record<string, string>>
  readonly cdiDevices: ContainerConfig['cdiDevices']
}

export const NO_CONTAINER_DEVICES: ContainerDevices = {
  envs: new Map(),
  mounts: [],
  devices: [],
  annotations: {},
  cdiDevices: [],
}

/** All that plugins answered for one container; of two that say the same thing differently the first counts. Pure. Source: kubelet deviceRunContainerOptions, v1.37. */
export function combineResponses(responses: readonly ContainerResponse[]): ContainerDevices {
  const mounts = responses.flatMap((response) => response.mounts)
  return {
    envs: new Map(Object.entries(mergeFirst(responses.map(({ envs }) => envs)))),
    mounts: firstOf(mounts, ({ containerPath }) => containerPath).map(({ containerPath, hostPath, readOnly }) => ({
      containerPath,
      hostPath,
      readonly: readOnly,
      propagation: 'PROPAGATION_PRIVATE' as const,
    })),
    devices: firstOf(
      responses.flatMap(({ devices }) => devices),
      ({ containerPath }) => containerPath,
    ),
    annotations: mergeFirst(responses.map(({ annotations }) => annotations)),
    cdiDevices: firstOf(
      responses.flatMap(({ cdiDevices }) => cdiDevices),
      ({ name }) => name,
    ),
  }
}

function mergeFirst(maps: readonly Readonly<Record<string, string>>[]): Record<string, string> {
  return Object.assign({}, ...maps.toReversed()) as Record<string, string>
}

function firstOf<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const found = new Map<string, T>()
  for (const item of items) if (!found.has(keyOf(item))) found.set(keyOf(item), item)
  return [...found.values()]
}
