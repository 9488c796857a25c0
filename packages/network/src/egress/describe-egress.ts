import type { Node } from '@centaurus/api/core/v1'
import type { NodeConditionWords } from '../daemon/node-condition.ts'
import type { MissingAddress } from './plan-egress.ts'

/** Condition of a Node that egress addresses name. */
const TYPE = 'EgressAddressesReady'

/** What the Node says of the egress addresses that name it. Pure. `missing` undefined: none does; then a condition is there only when one was. */
export function describeEgress(
  node: Pick<Node, 'status'> | undefined,
  missing: readonly MissingAddress[] | undefined,
): NodeConditionWords | undefined {
  const isKnown = node?.status?.conditions?.some(({ type }) => type === TYPE) === true
  if (missing === undefined && !isKnown) return undefined
  if (missing === undefined || missing.length === 0) {
    const message =
      missing === undefined
        ? 'No egress address names this node'
        : 'Every egress address that names this node is on a device'
    return { type: TYPE, status: 'True', reason: 'AddressesPresent', message }
  }
  const which = missing.map(nameOf).join(', ')
  const message = `On no device that is up: ${which}; nothing leaves by it: give it to a device of this node, or name another node`
  return { type: TYPE, status: 'False', reason: 'AddressMissing', message }
}

/** Whether the Node says so. Pure. */
export function isMissingOn({ status }: Readonly<Node>, address: MissingAddress): boolean {
  const condition = status?.conditions?.find(({ type }) => type === TYPE)
  return condition?.status === 'False' && condition.message?.includes(` ${nameOf(address)}`) === true
}

/** Ends with a character that no name has, so that none is the beginning of another. */
function nameOf({ tenant, vpc, address }: MissingAddress): string {
  return `${address} (Vpc "${vpc}" of tenant ${tenant})`
}
