import type { Condition } from '@centaurus/api/meta/v1'
import type { Vpc } from '@centaurus/api/centaurus/v1'
import { parseIpv4, parseIpv4Block } from '@centaurus/base'

/** Condition of a Vpc whose `cidr` has, or had, addresses of nodes in it. */
const TYPE = 'HidesNodes'
/** Addresses in a message. */
const ADDRESSES_MAX = 5

/** A Node, or a RemoteNode. */
export interface NodeAddresses {
  readonly status?:
    | { readonly addresses?: readonly { readonly type: string; readonly address: string }[] | undefined }
    | undefined
}

/** At which other hosts reach it. */
export function internalAddressesOf({ status }: NodeAddresses): string[] {
  return (status?.addresses ?? []).flatMap(({ type, address }) => (type === 'InternalIP' ? [address] : []))
}

/** Whether the network has the address for itself. */
export function hasAddress(vpc: Readonly<Vpc>, address: string): boolean {
  return findOwn(vpc, [address]).length > 0
}

function findOwn({ spec }: Readonly<Vpc>, addresses: readonly string[]): string[] {
  const block = spec?.cidr === undefined ? undefined : parseIpv4Block(spec.cidr)
  if (block === undefined) return []
  return addresses.filter((address) => {
    const value = parseIpv4(address)
    return value !== undefined && value >= block.first && value < block.first + block.size
  })
}

/** What the network is to say of nodes, without its time; undefined: nothing new, as it never had any in it, or nobody knows. Pure. */
export function describeHiddenNodes(
  vpc: Readonly<Vpc>,
  addresses: readonly string[] | undefined,
): Omit<Condition, 'lastTransitionTime'> | undefined {
  if (addresses === undefined) return undefined
  const hidden = [...new Set(findOwn(vpc, addresses))].toSorted()
  if (hidden.length === 0) {
    const isKnown = vpc.status?.conditions?.some(({ type }) => type === TYPE) === true
    return isKnown
      ? { type: TYPE, status: 'False', reason: 'NoNodes', message: 'No node has an address in it' }
      : undefined
  }
  const more = hidden.length > ADDRESSES_MAX ? ` and ${hidden.length - ADDRESSES_MAX} more` : ''
  const message =
    `Nodes have addresses in ${vpc.spec?.cidr}: ${hidden.slice(0, ADDRESSES_MAX).join(', ')}${more}. Its pods do not reach them, nor the API if it is there: ` +
    'if they are to, make another Vpc with another cidr, and let pods begin in that'
  return { type: TYPE, status: 'True', reason: 'AddressesOverlap', message }
}

/** Whether the network does not say it yet. */
export function isUnsaid({ status }: Readonly<Vpc>, wanted: ReturnType<typeof describeHiddenNodes>): boolean {
  const said = status?.conditions?.find(({ type }) => type === TYPE)
  return wanted !== undefined && (said?.status !== wanted.status || said.message !== wanted.message)
}
