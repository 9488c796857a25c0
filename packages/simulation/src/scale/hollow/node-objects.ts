import { formatMicroTime, formatTime } from '@centaurus/api'

const GIB = 1024 ** 3
/** Source: the kubelet's default maximum, and Kubernetes' own limit in its thresholds. */
export const PODS_PER_NODE = 110
/** Source: the release that the rest of the system follows. */
const KUBELET_VERSION = 'v1.37.2'
const INSTANCE_TYPES = [
  { name: 'c8.large', cpu: 8, memoryGib: 16 },
  { name: 'm16.large', cpu: 16, memoryGib: 64 },
  { name: 'm32.large', cpu: 32, memoryGib: 128 },
] as const
const ZONES = 3
const NODES_PER_RACK = 40
const LEASE_SECONDS = 40

/** Which node it is, in its cluster. */
export interface HollowIdentity {
  readonly name: string
  /** From 0, unique in the cluster. */
  readonly index: number
}

/** The Node that a kubelet registers. A node is a function of its index, so that a run can be repeated. */
export function nodeBody({ name, index }: HollowIdentity): string {
  const type = INSTANCE_TYPES[index % INSTANCE_TYPES.length]!
  const labels = {
    'beta.kubernetes.io/arch': 'amd64',
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'node.kubernetes.io/instance-type': type.name,
    'topology.kubernetes.io/region': 'simulated-1',
    'topology.kubernetes.io/zone': `simulated-1${'abc'[Math.floor(index / NODES_PER_RACK) % ZONES]}`,
    'simulation.centaurus.io/rack': `rack-${Math.floor(index / NODES_PER_RACK)}`,
    'simulation.centaurus.io/hollow': 'true',
  }
  return JSON.stringify({ kind: 'Node', apiVersion: 'v1', metadata: { name, labels }, spec: {} })
}

/** The first status of a node, whole; as a strategic merge patch. */
export function nodeStatusBody({ name, index }: HollowIdentity, nowMs: number): string {
  const type = INSTANCE_TYPES[index % INSTANCE_TYPES.length]!
  const memoryKi = (type.memoryGib * GIB) / 1024
  const capacity = {
    cpu: String(type.cpu),
    'ephemeral-storage': '100Gi',
    memory: `${memoryKi}Ki`,
    pods: String(PODS_PER_NODE),
  }
  const allocatable = { ...capacity, cpu: `${type.cpu * 1000 - 100}m`, memory: `${memoryKi - 512 * 1024}Ki` }
  return JSON.stringify({
    status: {
      addresses: [
        { type: 'InternalIP', address: nodeAddress(index) },
        { type: 'Hostname', address: name },
      ],
      capacity,
      allocatable,
      conditions: conditions(nowMs, nowMs),
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      images: IMAGES,
      nodeInfo: {
        architecture: 'amd64',
        bootID: name,
        containerRuntimeVersion: 'simulated://1',
        kernelVersion: 'simulated',
        kubeProxyVersion: '',
        kubeletVersion: KUBELET_VERSION,
        machineID: name,
        operatingSystem: 'linux',
        osImage: 'Centaurus hollow node',
        systemUUID: name,
      },
    },
  })
}

/** What a node reports when nothing changed: its conditions, with new heartbeats. */
export function nodeHeartbeatBody(registeredMs: number, nowMs: number): string {
  return JSON.stringify({ status: { conditions: conditions(nowMs, registeredMs) } })
}

const IMAGES = [
  { names: ['registry.k8s.io/pause:3.10'], sizeBytes: 319_200 },
  { names: ['registry.example.com/simulated/web:1'], sizeBytes: 72_000_000 },
  { names: ['registry.example.com/simulated/agent:1'], sizeBytes: 41_000_000 },
]

const CONDITIONS = [
  ['MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
  ['DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
  ['PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
  ['Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'],
] as const

function conditions(nowMs: number, sinceMs: number): object[] {
  const lastHeartbeatTime = formatTime(nowMs)
  const lastTransitionTime = formatTime(sinceMs)
  return CONDITIONS.map(([type, status, reason, message]) => ({
    type,
    status,
    lastHeartbeatTime,
    lastTransitionTime,
    reason,
    message,
  }))
}

/** 172.16.0.0/12 is for nodes: room for a million. */
export function nodeAddress(index: number): string {
  return `172.${16 + ((index >> 16) & 15)}.${(index >> 8) & 255}.${index & 255}`
}

/** 10.0.0.0/8 is for pods: 256 addresses a node, of which the first is left out. Nobody is reached there. */
export function podAddress(index: number, slot: number): string {
  return `10.${(index >> 8) & 255}.${index & 255}.${1 + (slot % 254)}`
}

export interface LeaseVersion {
  readonly uid: string
  readonly resourceVersion: string
}

/** The lease as a kubelet creates it, and as it renews it: the whole object, at the version that it saw last. */
export function leaseBody(
  name: string,
  nodeUid: string,
  { version, nowMs }: { readonly version?: LeaseVersion | undefined; readonly nowMs: number },
): string {
  const held = version === undefined ? '' : `,"uid":"${version.uid}","resourceVersion":"${version.resourceVersion}"`
  return (
    `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"${name}","namespace":"kube-node-lease"${held},` +
    `"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"${name}","uid":"${nodeUid}"}]},` +
    `"spec":{"holderIdentity":"${name}","leaseDurationSeconds":${LEASE_SECONDS},"renewTime":"${formatMicroTime(nowMs)}"}}`
  )
}
