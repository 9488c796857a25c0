import type { Vpc, VpcSpec } from '../../centaurus/network.ts'
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { IMMUTABLE } from '../shared/check.ts'
import { checkCidr, checkIp, isStrictSubnet, parseCidr, parseIp } from '../shared/ip.ts'

/** Kept on a Vpc while pods use it. */
export const VPC_FINALIZER = 'centaurus.io/vpc'

const cidrPath = new FieldPath('spec').child('cidr')
const egressPath = new FieldPath('spec').child('egressAddresses')
/** The shortest prefix: more addresses than nodes could have blocks for. The longest: one block of a node. */
const PREFIX_MIN = 8
const PREFIX_MAX = 26

/** What no pod can have for its address. Source: the IANA registry of special addresses, RFC 6890. */
const UNUSABLE = [
  { cidr: '0.0.0.0/8', name: '"this network"' },
  { cidr: '127.0.0.0/8', name: 'loopback' },
  { cidr: '169.254.0.0/16', name: 'link-local' },
  { cidr: '224.0.0.0/4', name: 'multicast' },
  { cidr: '240.0.0.0/4', name: 'reserved' },
].map(({ cidr, name }) => ({ block: parseCidr(cidr)!, cidr, name }))

/** Networks of a tenant. */
export const vpcBehavior: KindBehavior<Vpc> = {
  prepareForCreate({ metadata }) {
    const finalizers = metadata.finalizers ?? []
    if (!finalizers.includes(VPC_FINALIZER)) metadata.finalizers = [...finalizers, VPC_FINALIZER]
  },
  validate: ({ spec }) => [...(spec?.cidr === undefined ? [] : validateCidr(spec.cidr)), ...validateEgress(spec)],
  validateUpdate: ({ spec }, { spec: old }) =>
    spec?.cidr === old?.cidr ? [] : [invalid(cidrPath, spec?.cidr ?? '', IMMUTABLE)],
}

function validateEgress(spec: VpcSpec | undefined): FieldError[] {
  const addresses = spec?.egressAddresses ?? []
  return addresses.flatMap(({ address }, index) =>
    validateEgressAddress(address, egressPath.index(index).child('address')),
  )
}

function validateEgressAddress(address: string, path: FieldPath): FieldError[] {
  const errors = checkIp(address, path)
  if (errors.length > 0) return errors
  if (parseIp(address)?.family !== 'IPv4') return [invalid(path, address, 'must be an IPv4 address')]
  const own = parseCidr(`${address}/32`)!
  const unusable = UNUSABLE.find(({ block }) => isStrictSubnet(own, block))
  return unusable === undefined
    ? []
    : [invalid(path, address, `may not be in the ${unusable.name} range (${unusable.cidr})`)]
}

function validateCidr(text: string): FieldError[] {
  const errors = checkCidr(text, cidrPath)
  const block = parseCidr(text)
  if (errors.length > 0 || block === undefined) return errors
  if (block.ip.family !== 'IPv4') return [invalid(cidrPath, text, 'must be a block of IPv4 addresses')]
  if (block.prefix < PREFIX_MIN || block.prefix > PREFIX_MAX)
    return [invalid(cidrPath, text, `must have a prefix length between ${PREFIX_MIN} and ${PREFIX_MAX}, inclusive`)]
  const unusable = UNUSABLE.find(
    ({ block: other, cidr }) => cidr === text || isStrictSubnet(block, other) || isStrictSubnet(other, block),
  )
  if (unusable === undefined) return []
  return [invalid(cidrPath, text, `may not overlap with the ${unusable.name} range (${unusable.cidr})`)]
}
