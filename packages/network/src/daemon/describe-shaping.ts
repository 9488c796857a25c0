import { parseBandwidth } from '@centaurus/api'
import type { Node } from '@centaurus/api/core/v1'
import type { ShapingProblem } from '../qos/plan-qdiscs.ts'
import type { NodeConditionWords } from './node-condition.ts'
import type { ShapingState } from './shaping-keeper.ts'

/** Condition of a Node: whether bandwidths and classes of its pods are held. */
const TYPE = 'NetworkShaping'
/** Annotation of a Node: what its link carries, as a quantity of bits a second, where the device does not say it or says too much. */
export const LINK_BANDWIDTH_ANNOTATION = 'centaurus.io/link-bandwidth'

/** What a Node says of its link. */
export interface StatedBandwidth {
  /** Bits a second; undefined: nothing that could be used. */
  readonly bandwidth?: number
  readonly problem?: ShapingProblem
}

/** Reads what people wrote to a Node. Pure. */
export function readStatedBandwidth(node: Pick<Node, 'metadata'> | undefined): StatedBandwidth {
  const text = node?.metadata?.annotations?.[LINK_BANDWIDTH_ANNOTATION]
  const bandwidth = parseBandwidth(text)
  if (bandwidth === undefined) return {}
  if (typeof bandwidth === 'number') return { bandwidth }
  const message = `Annotation ${LINK_BANDWIDTH_ANNOTATION}: "${text}" ${bandwidth.detail}`
  return { problem: { reason: 'BadLinkBandwidth', message } }
}

/** What the Node says of its shaping. Pure. Undefined: the machine is on no network. */
export function describeShaping({ device, bandwidth, problem }: ShapingState): NodeConditionWords | undefined {
  if (device === undefined) return undefined
  if (problem !== undefined) return { type: TYPE, status: 'False', ...problem }
  const link =
    bandwidth === undefined
      ? `What "${device}" carries is not known, so classes have no more than their order: annotate the Node with ${LINK_BANDWIDTH_ANNOTATION}`
      : `"${device}" carries ${bandwidth / 1e6} Mbit/s`
  const message = `Packets leave at their departure times (fq). ${link}`
  return { type: TYPE, status: 'True', reason: 'DepartureTimes', message }
}
