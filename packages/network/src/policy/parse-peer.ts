import type { LabelSelector } from '@centaurus/api/meta/v1'
import { createPodSelector } from './pod-selector.ts'
import type { PodsPeer } from './policy-rule.ts'

export interface PodsPeerParts {
  /** The only namespace that is meant. */
  readonly namespace?: string | undefined
  readonly namespaceSelector?: LabelSelector | undefined
  readonly podSelector?: LabelSelector | undefined
}

/** Selectors that are absent match everything. */
export function createPodsPeer({ namespace, namespaceSelector, podSelector }: PodsPeerParts): PodsPeer {
  const namespaces = createPodSelector(namespaceSelector)
  const pods = createPodSelector(podSelector)
  return {
    kind: 'pods',
    text: JSON.stringify([namespace ?? null, namespaces.text, pods.text]),
    namespace,
    namespaces,
    pods,
  }
}
