import { FieldPath, invalid, invalidObject, type KubeObject } from '@centaurus/api'
import { remotenodes, vpcs, type Vpc } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import { doIpv4BlocksOverlap, parseIpv4, parseIpv4Block, type Ipv4Block } from '@centaurus/base'
import type { AdmissionStep } from '../admission/admission.ts'
import { isWriteTo } from '../admission/refuse.ts'
import type { ObjectReader } from '../resource/object-reader.ts'

/** The same as TRANSIT_CIDR of the network daemon: by these a host knows pods of networks with a CIDR, and they know it. */
const HOST_RANGE = '100.64.0.0/16'
const EXAMPLE = '10.20.0.0/16'
const cidrPath = new FieldPath('spec').child('cidr')

/**
 * New networks do not hide from their pods what all pods need. A network that is there stays as it is, and so do copies: ranges may have come later. `serviceRanges`:
 * where addresses of Services are, in all partitions.
 */
export function createVpcAddresses(serviceRanges: () => readonly string[]): AdmissionStep {
  return {
    name: 'VpcAddresses',
    handles: (write) =>
      write.operation === 'create' && isWriteTo(write, vpcs) && (write.draft as Vpc).spec?.cidr !== undefined,
    validate({ request, draft }, { reader }) {
      const cidr = (draft as Vpc).spec?.cidr ?? ''
      const block = parseIpv4Block(cidr)
      if (block === undefined || request.isInProcess === true) return
      const why = whyUnusable(block, serviceRanges())
      if (why !== undefined)
        throw invalidObject({ group: vpcs.group, kind: vpcs.kind }, draft.metadata.name ?? '', [
          invalid(cidrPath, cidr, why),
        ])
      const hidden = nodeAddresses(reader).filter((address) => isIn(block, address)).length
      if (hidden > 0) request.warn(warnOfNodes(cidr, hidden))
    },
  }
}

function whyUnusable(block: Ipv4Block, serviceRanges: readonly string[]): string | undefined {
  const overlaps = (text: string): boolean => {
    const other = parseIpv4Block(text)
    return other !== undefined && doIpv4BlocksOverlap(block, other)
  }
  const advice = `choose another block, such as ${EXAMPLE}`
  const range = serviceRanges.find(overlaps)
  if (range !== undefined)
    return `may not overlap with ${range}, where addresses of Services are: its pods could reach neither the API nor the cluster's DNS; ${advice}`
  if (overlaps(HOST_RANGE))
    return `may not overlap with ${HOST_RANGE}, by which hosts know pods of networks with a cidr; ${advice}`
  return undefined
}

function warnOfNodes(cidr: string, count: number): string {
  const whose = count === 1 ? 'the address of a node' : `the addresses of ${count} nodes`
  return `spec.cidr: ${cidr} has ${whose} in it: its pods do not reach what is there, nor the API if that is one; make it with another block if they are to`
}

/** Of this partition, and those of others that it knows. */
function nodeAddresses(reader: ObjectReader): string[] {
  const all: readonly NodeLike[] = [...reader.list(nodes), ...reader.list(remotenodes)]
  return all.flatMap(({ status }) =>
    (status?.addresses ?? []).flatMap(({ type, address }) => (type === 'InternalIP' ? [address] : [])),
  )
}

type NodeLike = KubeObject & {
  readonly status?: { readonly addresses?: readonly { type: string; address: string }[] | undefined } | undefined
}

function isIn({ first, size }: Ipv4Block, address: string): boolean {
  const value = parseIpv4(address)
  return value !== undefined && value >= first && value < first + size
}
