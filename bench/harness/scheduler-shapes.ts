/**
 * Clusters and pods in the shapes of kube-scheduler's own benchmark. Source: test/integration/scheduler_perf of Kubernetes v1.37
 * (misc, affinity, topology_spreading and their templates): node and pod sizes, selectors and skews are upstream's.
 */
import type { Node, Pod, PodSpec } from '@centaurus/api/core/v1'

export const SHAPES = [
  'basic',
  'anti-affinity',
  'pod-affinity',
  'node-affinity',
  'spread',
  'preemption',
  'churn',
] as const
export type Shape = (typeof SHAPES)[number]

const HOSTNAME = 'kubernetes.io/hostname'
const ZONE = 'topology.kubernetes.io/zone'
const ZONES = 10
/** Pods that shun or want each other. With anti-affinity each group needs as many nodes as it has pods. */
const GROUPS = 10
/** Low-priority pods on a node of the preemption shape: they leave 400 milli-cores. */
const FILLERS_PER_NODE = 4

/** Values of the priority classes that the pods name. */
export const PRIORITIES = { low: 1, high: 10 } as const

/** One node as its kubelet would describe it. */
export function nodeOf(index: number): Node & { metadata: { name: string } } {
  const name = `scheduler-perf-${index}`
  const labels = {
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/os': 'linux',
    [HOSTNAME]: name,
    'node.kubernetes.io/instance-type': 'm5.xlarge',
    'topology.kubernetes.io/region': 'region-1',
    [ZONE]: `zone-${index % ZONES}`,
  }
  const amounts = { cpu: '4', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec: {},
    status: {
      capacity: amounts,
      allocatable: amounts,
      conditions: [
        { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' },
      ],
    },
  }
}

/** Pods that use nodes before the measurement begins, each with its node's index. */
export function* fillers(shape: Shape, nodes: number): Iterable<{ pod: Pod; node: number }> {
  if (shape !== 'preemption') return
  for (let node = 0; node < nodes; node++) {
    for (let i = 0; i < FILLERS_PER_NODE; i++)
      yield {
        pod: podNamed(
          `low-${node}-${i}`,
          { cpu: '900m' },
          { priority: PRIORITIES.low, priorityClassName: 'low', terminationGracePeriodSeconds: 0 },
        ),
        node,
      }
  }
}

/** A pod that is to be placed. */
export function podOf(shape: Shape, index: number): Pod {
  const name = `pod-${index}`
  const color = `c${index % GROUPS}`
  const sameColor = { labelSelector: { matchLabels: { color } } }
  switch (shape) {
    case 'anti-affinity': {
      const terms = [{ ...sameColor, topologyKey: HOSTNAME }]
      return podNamed(
        name,
        { color },
        { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } },
      )
    }
    case 'pod-affinity': {
      const terms = [{ ...sameColor, topologyKey: ZONE }]
      return podNamed(
        name,
        { color },
        { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } } },
      )
    }
    case 'node-affinity': {
      const term = { matchExpressions: [{ key: ZONE, operator: 'In', values: ['zone-1', 'zone-2'] }] }
      const required = { nodeSelectorTerms: [term] }
      return podNamed(
        name,
        {},
        { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } } },
      )
    }
    case 'spread': {
      const constraint = { ...sameColor, maxSkew: 5, topologyKey: ZONE, whenUnsatisfiable: 'DoNotSchedule' }
      return podNamed(name, { color }, { topologySpreadConstraints: [constraint] })
    }
    case 'preemption':
      return podNamed(name, { cpu: '3' }, { priority: PRIORITIES.high, priorityClassName: 'high' })
    default:
      return podNamed(name, {}, {})
  }
}

function podNamed(
  name: string,
  { color, cpu = '100m' }: { color?: string; cpu?: string },
  more: Partial<PodSpec>,
): Pod {
  const containers = [
    {
      name: 'pause',
      image: 'registry.k8s.io/pause:3.10.1',
      ports: [{ containerPort: 80, protocol: 'TCP' }],
      resources: { requests: { cpu, memory: cpu === '100m' ? '500Mi' : '0' }, limits: { cpu, memory: '500Mi' } },
    },
  ]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...(color === undefined ? {} : { labels: { color } }) },
    spec: { containers, ...more },
  }
}
