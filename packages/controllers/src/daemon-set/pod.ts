import { ownerReferenceTo, type Stored } from '@centaurus/api'
import type { DaemonSet } from '@centaurus/api/apps/v1'
import type { Affinity, Node, Pod, PodSpec, Toleration } from '@centaurus/api/core/v1'
import { compileRequiredNodes, findUntolerated } from '@centaurus/api/scheduling'
import { buildPod } from '../frame/pods.ts'
import { REVISION_HASH_LABEL } from '../frame/revisions.ts'

const TEMPLATE_GENERATION_ANNOTATION = 'deprecated.daemonset.template.generation'
const TEMPLATE_GENERATION_LABEL = 'pod-template-generation'
const NODE_NAME_FIELD = 'metadata.name'

/** Source: AddOrUpdateDaemonPodTolerations, pkg/controller/daemon/util v1.37. */
const DAEMON_TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
]
const HOST_NETWORK_TOLERATION: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
}

/** The template's tolerations with those of every daemon. */
export function daemonTolerations(spec: PodSpec): Toleration[] {
  const added = spec.hostNetwork === true ? [...DAEMON_TOLERATIONS, HOST_NETWORK_TOLERATION] : DAEMON_TOLERATIONS
  const kept = (spec.tolerations ?? []).filter(
    (own) =>
      !added.some(
        (other) => own.key === other.key && own.effect === other.effect && (own.operator ?? 'Equal') === 'Exists',
      ),
  )
  return [...kept, ...added]
}

export interface NodeFit {
  readonly shouldRun: boolean
  readonly shouldContinueRunning: boolean
}

/** Whether a daemon belongs on a node, and whether one that is there may stay. Source: NodeShouldRunDaemonPod v1.37. */
export function fitNode(daemonSet: DaemonSet, tolerations: readonly Toleration[], node: Node): NodeFit {
  const spec = daemonSet.spec.template.spec!
  const isNamed = !spec.nodeName || spec.nodeName === node.metadata.name
  const isWanted = compileRequiredNodes(spec)?.matches(node.metadata.labels ?? {}, node.metadata.name ?? '') ?? true
  if (!isNamed || !isWanted) return { shouldRun: false, shouldContinueRunning: false }
  const taints = node.spec?.taints ?? []
  if (findUntolerated(taints, tolerations, { effects: ['NoSchedule', 'NoExecute'] }) === undefined) {
    return { shouldRun: true, shouldContinueRunning: true }
  }
  return {
    shouldRun: false,
    shouldContinueRunning: findUntolerated(taints, tolerations, { effects: ['NoExecute'] }) === undefined,
  }
}

/** A daemon for one node, which the scheduler puts there by its affinity. */
export function buildDaemonPod(
  daemonSet: Stored<DaemonSet>,
  { node, hash }: { readonly node: string; readonly hash: string },
): Pod {
  const { template } = daemonSet.spec
  const pod = buildPod(template, daemonSet)
  const generation = daemonSet.metadata.annotations?.[TEMPLATE_GENERATION_ANNOTATION]
  const labels = {
    ...pod.metadata.labels,
    ...(generation === undefined ? {} : { [TEMPLATE_GENERATION_LABEL]: generation }),
    [REVISION_HASH_LABEL]: hash,
  }
  return {
    ...pod,
    metadata: { ...pod.metadata, labels, ownerReferences: [ownerReferenceTo(daemonSet)] },
    spec: {
      ...pod.spec!,
      tolerations: daemonTolerations(template.spec!),
      affinity: pinToNode(template.spec?.affinity, node),
    },
  }
}

/** Replaces required node affinity by the node's name, which the node matched it with. */
function pinToNode(affinity: Affinity | undefined, node: string): Affinity {
  const term = { matchFields: [{ key: NODE_NAME_FIELD, operator: 'In', values: [node] }] }
  const required = { nodeSelectorTerms: [term] }
  return {
    ...affinity,
    nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: required },
  }
}

/** The node a daemon runs on or is meant for; '' when it says neither. Source: GetTargetNodeName v1.37. */
export function targetNode({ spec }: Pod): string {
  if (spec?.nodeName) return spec.nodeName
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  for (const { matchFields = [] } of terms) {
    for (const { key, operator, values = [] } of matchFields) {
      if (key === NODE_NAME_FIELD && operator === 'In' && values.length === 1) return values[0]!
    }
  }
  return ''
}

/** The pod has the newest template, by its hash or by the generation that older versions wrote. */
export function isUpdated(daemonSet: DaemonSet, pod: Pod, hash: string): boolean {
  const generation = daemonSet.metadata.annotations?.[TEMPLATE_GENERATION_ANNOTATION]
  const labels = pod.metadata.labels ?? {}
  return (
    labels[REVISION_HASH_LABEL] === hash ||
    (generation !== undefined && labels[TEMPLATE_GENERATION_LABEL] === generation)
  )
}
