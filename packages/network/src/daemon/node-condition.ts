import { nodes, type NodeCondition } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { ClusterView } from './cluster-view.ts'

/** Set by whoever connects a node's pods. True keeps pods off the node. Source: Kubernetes' NodeNetworkUnavailable. */
const TYPE = 'NetworkUnavailable'

/** What a condition says. */
export type NodeConditionWords = Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>

export function describeNetwork(problem: string | undefined): NodeConditionWords {
  return {
    type: TYPE,
    status: problem === undefined ? 'False' : 'True',
    reason: problem === undefined ? 'NetworkReady' : 'NetworkNotReady',
    message: problem ?? 'Pods can be attached, and their policies are in the kernel',
  }
}

/** The condition, or undefined when `known` says it already. Pure. */
export function planNodeCondition(
  known: NodeCondition | undefined,
  wanted: NodeConditionWords,
  now: string,
): NodeCondition | undefined {
  const isSame = known?.status === wanted.status && known.reason === wanted.reason && known.message === wanted.message
  if (isSame) return undefined
  const since = known?.status === wanted.status ? known.lastTransitionTime : undefined
  return { ...wanted, lastHeartbeatTime: now, lastTransitionTime: since ?? now }
}

export interface NodeConditionDeps {
  readonly client: Client
  readonly view: ClusterView
  readonly clock: Clock
  readonly logger: Logger
  /** Undefined: nothing to say now. */
  readonly describe: () => NodeConditionWords | undefined
}

const LOOK_MS = 250

/** Tells the API of a condition of the node, whenever it changes. While the API is away it tries again. */
export function startNodeCondition({ client, view, clock, logger, describe }: NodeConditionDeps): { close(): void } {
  let closed = false
  const look = async (): Promise<void> => {
    const node = view.ownNode
    const wanted = describe()
    if (node === undefined || wanted === undefined) return
    const known = node.status?.conditions?.find(({ type }) => type === wanted.type)
    const now = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`
    const condition = planNodeCondition(known, wanted, now)
    if (condition === undefined) return
    try {
      const body = { status: { conditions: [condition] } }
      await client.patch(nodes, { name: view.nodeName }, { type: 'strategic', body }, { subresource: 'status' })
    } catch (error) {
      logger.debug('Could not write the condition of the Node', { error })
    }
  }
  const again = async (): Promise<void> => {
    await look()
    if (!closed) clock.setTimer(LOOK_MS, () => void again())
  }
  void again()
  return {
    close() {
      closed = true
    },
  }
}
