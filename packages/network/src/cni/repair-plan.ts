import type { ReleasedAddresses, LoadedRecords } from './attachment-store.ts'
import { deviceNameOf, type Attachment } from './attachment.ts'
import type { AttachmentKey } from './cni-request.ts'
import type { EndpointReference, KnownEndpoint } from './pod-network-source.ts'

/** A sandbox that is being made is not listed yet. The runtime gives up after four minutes; this is more. */
const SANDBOX_START_MS_MAX = 600_000

/** What there is of pods on a host. */
export interface HostState {
  /** Host ends of pods' veths, and their indexes. The kernel removes one with the network namespace of its other end. */
  readonly devices: ReadonlyMap<string, number>
  /** Paths of network namespaces that are there. */
  readonly namespaces: ReadonlySet<string>
  /** Containers that the runtime has; undefined: it does not say. */
  readonly sandboxes: ReadonlySet<string> | undefined
  readonly endpoints: readonly KnownEndpoint[]
  readonly nowMs: number
}

export interface RepairPlan {
  readonly keep: readonly Attachment[]
  /** Attachments of pods that are gone, or that were never answered. */
  readonly undo: readonly Attachment[]
  readonly resting: readonly ReleasedAddresses[]
  /** Devices that nobody knows. */
  readonly deleteDevices: readonly string[]
  /** Endpoints that nobody knows. */
  readonly forget: readonly EndpointReference[]
  /** What was made up again from the data plane, of damaged files; a part of `keep`. */
  readonly rebuilt: readonly Attachment[]
  /** Damaged files of which the data plane knows nothing either. */
  readonly lost: readonly string[]
}

/** Decides what of a host's pods stays after a restart. Pure. */
export function planRepair({ records, damaged }: LoadedRecords, state: HostState): RepairPlan {
  const resting = records.filter((record) => record.phase === 'released')
  const attachments = records.filter((record) => record.phase !== 'released')
  const rebuilt = damaged.flatMap(({ device }) => rebuild(device, state) ?? [])
  const known = [...attachments, ...rebuilt]
  const undo = known.filter((attachment) => isOver(attachment, state))
  const over = new Set(undo)
  const keep = known.filter((attachment) => !over.has(attachment))
  const devices = new Set(known.map(({ device }) => device))
  const endpoints = new Set(known.map(keyOf))
  return {
    keep,
    undo,
    resting,
    deleteDevices: [...state.devices.keys()].filter((device) => !devices.has(device)),
    forget: state.endpoints.filter((endpoint) => !endpoints.has(keyOf(endpoint))).map(({ vni, ip }) => ({ vni, ip })),
    rebuilt: rebuilt.filter((attachment) => !over.has(attachment)),
    lost: damaged.filter(({ device }) => !devices.has(device)).map(({ device }) => device),
  }
}

/** Which attachments the runtime does not count as valid. Source: CNI specification 1.1.0, "GC". Pure. */
export function planCollection(attachments: readonly Attachment[], valid: readonly AttachmentKey[]): Attachment[] {
  const devices = new Set(valid.map(({ containerId, ifname }) => deviceNameOf(containerId, ifname)))
  return attachments.filter(({ device }) => !devices.has(device))
}

/** Nobody will ever ask to take it away, or whoever asked for it was told that it failed. */
function isOver({ phase, device, netns, containerId, createdAtMs }: Attachment, state: HostState): boolean {
  if (phase === 'adding') return true
  const hasNamespace = netns !== undefined && state.namespaces.has(netns)
  if (!state.devices.has(device) && !hasNamespace) return true
  const isListed = containerId === '' || state.sandboxes?.has(containerId) !== false
  return !isListed && state.nowMs - createdAtMs > SANDBOX_START_MS_MAX
}

/** What the data plane knows of the device is what matters: that nobody else gets the address, and that it is taken away with the pod. */
function rebuild(device: string, { devices, endpoints, nowMs }: HostState): Attachment | undefined {
  const ifindex = devices.get(device)
  const endpoint = endpoints.find((one) => one.ifindex === ifindex)
  if (ifindex === undefined || endpoint === undefined) return undefined
  return {
    ...endpoint,
    phase: 'ready',
    device,
    containerId: '',
    namespace: '',
    name: '',
    uid: undefined,
    vpc: '',
    netns: undefined,
    ifname: 'eth0',
    mtu: 0,
    hostPorts: [],
    createdAtMs: nowMs,
  }
}

function keyOf({ vni, ip }: EndpointReference): string {
  return `${vni} ${ip}`
}
