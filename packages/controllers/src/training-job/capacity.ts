/** What training jobs may share: what nodes have, less what others use and wait for. Kept up to date by events, at the cost of each. */
import {
  controllerOf,
  isPodTerminal,
  objectKey,
  podCondition,
  podRequests,
  quantityMilliValue,
  type Stored,
} from '@centaurus/api'
import type { Node, Pod, PodTemplateSpec } from '@centaurus/api/core/v1'
import { GPU, GPU_COMPUTE, gpuRequestsOf } from '@centaurus/api/gpu'
import type { Informer } from '@centaurus/client'
import { isLauncher } from './worker-pods.ts'

/** What a worker is counted in: GPUs if it has any, else processors. */
export type CapacityUnit = 'gpu' | 'cpu'

/** How much of it one worker takes. */
export interface WorkerUse {
  readonly unit: CapacityUnit
  readonly amount: number
}

/** A pod without any requests is counted as if it asked for so much. */
const CPU_MIN = 0.01

export function useOf({ metadata, spec }: Pick<PodTemplateSpec, 'metadata' | 'spec'>): WorkerUse {
  const gpus = gpusOf({ metadata: metadata ?? {}, spec })
  if (gpus > 0) return { unit: 'gpu', amount: gpus }
  return { unit: 'cpu', amount: Math.max(CPU_MIN, (podRequests(spec ?? { containers: [] })['cpu'] ?? 0) / 1_000) }
}

function gpusOf(pod: Pick<Pod, 'metadata' | 'spec'>): number {
  const { requests } = gpuRequestsOf(pod)
  return (requests?.containers ?? []).reduce((sum, { request }) => {
    const { count, compute, memoryPercent, memoryMiB } = request
    const isWhole = compute === undefined && memoryPercent === undefined && memoryMiB === undefined
    const share = Math.max(compute ?? 0, memoryPercent ?? 0) / 100
    return sum + count * (isWhole ? 1 : share)
  }, 0)
}

export class TrainingCapacity {
  readonly #nodes = new Map<string, Record<CapacityUnit, number>>()
  readonly #others = new Map<string, WorkerUse>()
  readonly #totals: Record<CapacityUnit, number> = { gpu: 0, cpu: 0 }
  readonly #unsubscribe: (() => void)[]

  /** `onChange` runs after each change. */
  constructor(informers: { readonly nodes: Informer<Node>; readonly pods: Informer<Pod> }, onChange: () => void) {
    const setNode = (node: Stored<Node>): void => this.#setNode(node.metadata.name, offeredBy(node), onChange)
    const setPod = (pod: Stored<Pod>): void => this.#setPod(objectKey(pod), otherUse(pod), onChange)
    this.#unsubscribe = [
      informers.nodes.addHandler({
        onAdd: setNode,
        onUpdate: setNode,
        onDelete: ({ metadata }) => this.#setNode(metadata.name, undefined, onChange),
      }),
      informers.pods.addHandler({
        onAdd: setPod,
        onUpdate: setPod,
        onDelete: (pod) => this.#setPod(objectKey(pod), undefined, onChange),
      }),
    ]
  }

  /** Those of `nodes` without which workers still have room: all but the last ones, if need be. Others' pods are not looked at. */
  without(nodes: readonly string[], { unit, amount }: WorkerUse): string[] {
    let left = 0
    for (const offered of this.#nodes.values()) left += offered[unit]
    return nodes.filter((name) => {
      const offered = this.#nodes.get(name)?.[unit] ?? 0
      if (left - offered < amount) return false
      left -= offered
      return true
    })
  }

  /** May be negative: others wait for more than there is. */
  of(unit: CapacityUnit): number {
    return this.#totals[unit]
  }

  close(): void {
    for (const remove of this.#unsubscribe) remove()
  }

  #setNode(name: string, offered: Record<CapacityUnit, number> | undefined, onChange: () => void): void {
    const before = this.#nodes.get(name)
    if (before?.gpu === offered?.gpu && before?.cpu === offered?.cpu) return
    for (const unit of ['gpu', 'cpu'] as const) this.#totals[unit] += (offered?.[unit] ?? 0) - (before?.[unit] ?? 0)
    if (offered === undefined) this.#nodes.delete(name)
    else this.#nodes.set(name, offered)
    onChange()
  }

  #setPod(key: string, use: WorkerUse | undefined, onChange: () => void): void {
    const before = this.#others.get(key)
    if (before?.unit === use?.unit && before?.amount === use?.amount) return
    if (before !== undefined) this.#totals[before.unit] += before.amount
    if (use === undefined) this.#others.delete(key)
    else {
      this.#totals[use.unit] -= use.amount
      this.#others.set(key, use)
    }
    onChange()
  }
}

/** What a node has for new pods; undefined: it takes none. */
function offeredBy({ spec, status }: Stored<Node>): Record<CapacityUnit, number> | undefined {
  const isReady = status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
  if (!isReady || spec?.unschedulable === true) return undefined
  const allocatable = status?.allocatable ?? {}
  const whole = quantityMilliValue(allocatable[GPU] ?? '0') / 1_000
  const shared = quantityMilliValue(allocatable[GPU_COMPUTE] ?? '0') / 100_000
  return { gpu: Math.max(whole, shared), cpu: quantityMilliValue(allocatable['cpu'] ?? '0') / 1_000 }
}

/** What a pod that is no worker keeps from workers: what it uses, or waits for in vain. */
function otherUse(pod: Stored<Pod>): WorkerUse | undefined {
  if (isPodTerminal(pod) || (controllerOf(pod)?.kind === 'TrainingJob' && !isLauncher(pod))) return undefined
  const condition = podCondition(pod, 'PodScheduled')
  const waits = condition?.status === 'False' && condition.reason === 'Unschedulable'
  return pod.spec?.nodeName || waits ? useOf(pod) : undefined
}
