import { covers, type Block } from './block.ts'
import type { KnownLabels } from './pod-selector.ts'
import type { Peer, PodsPeer, PolicyRule } from './policy-rule.ts'
import { bothHold, eitherHolds, type Truth } from './truth.ts'

/** A namespace as far as it is known; one object for each name, so that new labels show everywhere. */
export interface NamespaceView {
  readonly name: string
  known: KnownLabels
}

/** What selectors see of a pod. */
export interface PodView extends KnownLabels {
  readonly namespace: NamespaceView
}

/**
 * The other end of a packet: what is absent it certainly is not.
 * `anyPod`: some pod, of which nothing is known. `anything`: perhaps not even a pod.
 */
export interface Target {
  readonly pod?: PodView | 'anyPod' | 'anything' | undefined
  /** All of its addresses. */
  readonly block?: Block | 'anyAddress' | undefined
  readonly node?: KnownLabels | undefined
}

/** Whether the pod is meant. */
export function isPodMeant(peer: PodsPeer, pod: PodView): Truth {
  if (peer.namespace !== undefined) {
    return peer.namespace !== pod.namespace.name ? 'no' : peer.pods.isEmpty ? 'yes' : peer.pods.test(pod)
  }
  const truth = peer.namespaces.isEmpty ? 'yes' : peer.namespaces.test(pod.namespace.known)
  return truth === 'no' || peer.pods.isEmpty ? truth : bothHold(truth, peer.pods.test(pod))
}

/** Whether some peer of the rule is the target. */
export function isTargetMeant(rule: PolicyRule, target: Target): Truth {
  let truth: Truth = 'no'
  for (const peer of rule.peers) {
    truth = eitherHolds(truth, isPeer(peer, target))
    if (truth === 'yes') return truth
  }
  return truth
}

/** Whether the rule is about everything, whatever the target. */
export function isAboutEverything(rule: PolicyRule): boolean {
  return rule.peers.some(({ kind }) => kind === 'anybody')
}

function isPeer(peer: Peer, { pod, block, node }: Target): Truth {
  switch (peer.kind) {
    case 'anybody':
      return 'yes'
    case 'pods':
      if (pod === undefined) return 'no'
      if (typeof pod === 'object') return isPodMeant(peer, pod)
      return pod === 'anyPod' && peer.namespace === undefined && peer.namespaces.isEmpty && peer.pods.isEmpty
        ? 'yes'
        : 'maybe'
    case 'block': {
      if (block === undefined) return 'no'
      if (block === 'anyAddress') return peer.block.prefix === 0 && peer.except.length === 0 ? 'yes' : 'maybe'
      return covers(peer.block, block) && !peer.except.some((except) => covers(except, block)) ? 'yes' : 'no'
    }
    case 'nodes':
      return node === undefined ? 'no' : peer.nodes.test(node)
  }
}
