import type { Stored } from '@centaurus/api'
import type { Node, Pod, PodSpec } from '@centaurus/api/core/v1'

// Objects as the API server would return them, for tests.

export interface NodeInput {
  readonly labels?: Record<string, string>
  readonly taints?: NonNullable<NonNullable<Node['spec']>['taints']>
  readonly unschedulable?: boolean
  readonly allocatable?: Record<string, string>
}

export function node(name: string, input: NodeInput = {}): Stored<Node> {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      uid: `node-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { 'kubernetes.io/hostname': name, ...input.labels },
    },
    spec: {
      ...(input.taints === undefined ? {} : { taints: input.taints }),
      ...(input.unschedulable === undefined ? {} : { unschedulable: input.unschedulable }),
    },
    status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110', ...input.allocatable } },
  }
}

export interface PodInput extends Partial<PodSpec> {
  readonly labels?: Record<string, string>
  readonly namespace?: string
  readonly cpu?: string
  readonly memory?: string
}

export function pod(name: string, input: PodInput = {}): Stored<Pod> {
  const { labels, namespace = 'default', cpu, memory, ...spec } = input
  const requests = { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `pod-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(labels === undefined ? {} : { labels }),
    },
    spec: { containers: [{ name: 'main', image: 'app', resources: { requests } }], ...spec },
  }
}
