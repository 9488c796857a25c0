import type { Pod } from '@centaurus/api/core/v1'

import { isSidecar } from '../pod/runtime-state.ts'
import type { Allocation } from './allocation-ledger.ts'
import { answerUnary } from './answer-unary.ts'
import type { Device } from './device-inventory.ts'
import type { PodResourcesMethod } from './device-metrics.ts'
import { deviceProtocol } from './protocol/definitions.ts'
import type { ListedDevices, PodResources } from './protocol/messages.ts'
import { serveOnSocket, type SocketServer } from './socket-server.ts'

export const POD_RESOURCES_SOCKET = 'kubelet.sock'

export interface PodResourcesDeps {
  readonly pods: () => readonly Pod[]
  readonly allocationsOf: (podUid: string, container: string) => readonly Allocation[]
  /** Every device that pods can have, whether one has it or not. */
  readonly allocatable: () => readonly { readonly resource: string; readonly device: Device }[]
  readonly onRequest: (method: PodResourcesMethod, isGood: boolean) => void
}

/** Serves `PodResourcesLister` v1, which says who has which devices. CPUs and memory are nobody's own on our nodes. Source: kubelet apis/podresources/server_v1.go, v1.37. */
export function servePodResources(path: string, deps: PodResourcesDeps): Promise<SocketServer> {
  const counted = <In, Out>(
    method: PodResourcesMethod,
    answer: (request: In) => Out,
  ): ReturnType<typeof answerUnary<In, Out>> =>
    answerUnary((request: In) => {
      try {
        const response = answer(request)
        deps.onRequest(method, true)
        return response
      } catch (error) {
        deps.onRequest(method, false)
        throw error
      }
    })
  return serveOnSocket(path, deviceProtocol().podResources, {
    List: counted('list', () => ({
      podResources: deps
        .pods()
        .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
        .map((pod) => describePod(pod, deps)),
    })),
    GetAllocatableResources: counted('get_allocatable', () => ({
      devices: deps.allocatable().flatMap(({ resource, device }) => listDevice(resource, device)),
    })),
    Get: counted('get', ({ podName, podNamespace }: { readonly podName: string; readonly podNamespace: string }) => {
      const pod = deps.pods().find(({ metadata }) => metadata.name === podName && metadata.namespace === podNamespace)
      if (pod === undefined) throw new Error(`pod ${podName} in namespace ${podNamespace} not found`)
      return { podResources: describePod(pod, deps) }
    }),
  })
}

function describePod({ metadata, spec }: Pod, { allocationsOf }: PodResourcesDeps): PodResources {
  const containers = [...(spec?.initContainers?.filter(isSidecar) ?? []), ...(spec?.containers ?? [])]
  return {
    name: metadata.name ?? '',
    namespace: metadata.namespace ?? '',
    containers: containers.map(({ name }) => ({
      name,
      devices: allocationsOf(metadata.uid ?? '', name).flatMap(({ resource, devices }) =>
        devices.flatMap((device) => listDevice(resource, device)),
      ),
    })),
  }
}

/** Once for each NUMA node that it is near to, as upstream lists it. */
function listDevice(resourceName: string, { id, numaNodes }: Pick<Device, 'id' | 'numaNodes'>): ListedDevices[] {
  const topologies = numaNodes.length === 0 ? [null] : numaNodes.map((ID) => ({ nodes: [{ ID }] }))
  return topologies.map((topology) => ({ resourceName, deviceIds: [id], topology }))
}
