import { crc32 } from 'node:zlib'

import type { AllocatedDevice, Allocation } from './allocation-ledger.ts'
import { deviceProtocol } from './protocol/definitions.ts'

/** What an agent must not forget: who has which devices, and which resources had plugins. */
export interface Checkpoint {
  readonly allocations: readonly Allocation[]
  /** Resource names, with the ids of their healthy devices. */
  readonly registered: ReadonlyMap<string, readonly string[]>
}

const WITHOUT_NUMA = '-1'

/** In the shape of upstream's file, because others read that: multus and exporters of metrics. Only the checksum is our own. Source: kubelet devicemanager/checkpoint, v1.37. */
interface CheckpointFile {
  readonly Data: {
    readonly PodDeviceEntries: readonly PodDevicesEntry[] | null
    readonly RegisteredDevices: Readonly<Record<string, readonly string[]>> | null
  }
  readonly Checksum: number
}

interface PodDevicesEntry {
  readonly PodUID: string
  readonly ContainerName: string
  readonly ResourceName: string
  /** By NUMA node; a device near to several is in the list of each. */
  readonly DeviceIDs: Readonly<Record<string, readonly string[]>>
  /** The plugin's answer: protobuf in base64. */
  readonly AllocResp: string
}

export function formatCheckpoint({ allocations, registered }: Checkpoint): string {
  const Data = {
    PodDeviceEntries: allocations.map(formatEntry),
    RegisteredDevices: Object.fromEntries(registered),
  }
  return JSON.stringify({ Data, Checksum: crc32(JSON.stringify(Data)) } satisfies CheckpointFile)
}

/** Reads what {@link formatCheckpoint} wrote. Throws `SyntaxError` for what is damaged. */
export function parseCheckpoint(text: string): Checkpoint {
  const { Data, Checksum } = JSON.parse(text) as Partial<CheckpointFile>
  if (Data === undefined || crc32(JSON.stringify(Data)) !== Checksum)
    throw new SyntaxError('the checkpoint of devices is damaged: its checksum is another')
  return {
    allocations: (Data.PodDeviceEntries ?? []).map(parseEntry),
    registered: new Map(Object.entries(Data.RegisteredDevices ?? {})),
  }
}

function formatEntry({ podUid, container, resource, devices, response }: Allocation): PodDevicesEntry {
  const ids: Record<string, string[]> = {}
  for (const { id, numaNodes } of devices)
    for (const node of numaNodes.length === 0 ? [WITHOUT_NUMA] : numaNodes.map(String)) (ids[node] ??= []).push(id)
  return {
    PodUID: podUid,
    ContainerName: container,
    ResourceName: resource,
    DeviceIDs: ids,
    AllocResp: deviceProtocol().containerResponse.serialize(response).toString('base64'),
  }
}

function parseEntry({ PodUID, ContainerName, ResourceName, DeviceIDs, AllocResp }: PodDevicesEntry): Allocation {
  const nodes = new Map<string, number[]>()
  for (const [node, ids] of Object.entries(DeviceIDs)) {
    for (const id of ids) nodes.set(id, [...(nodes.get(id) ?? []), ...(node === WITHOUT_NUMA ? [] : [Number(node)])])
  }
  const devices: AllocatedDevice[] = [...nodes].map(([id, numaNodes]) => ({ id, numaNodes }))
  const response = deviceProtocol().containerResponse.deserialize(Buffer.from(AllocResp, 'base64'))
  return { podUid: PodUID, container: ContainerName, resource: ResourceName, devices, response }
}
