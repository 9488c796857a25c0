import type {
  IPAddress,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  ServiceCIDR,
} from '../../generated/types/networking/v1.ts'
import { checkDnsSubdomain, checkPathSegment } from '../../meta/names.ts'
import { FieldPath, forbiddenField, invalid, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import {
  checkImmutable,
  checkOneOf,
  checkPort,
  checkPortNumber,
  checkRequiredName,
  IMMUTABLE,
  invalidFor,
} from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { checkCidr, checkIp, isStrictSubnet, parseCidr } from '../shared/ip.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { ageColumn, column, formatSelector, nameColumn } from '../shared/table.ts'

const path = new FieldPath('spec')
const cidrsPath = path.child('cidrs')

/** Network policies. Source: pkg/apis/networking/{v1/defaults.go,validation}, pkg/registry/networking/networkpolicy v1.37. */
export const networkPolicyBehavior: KindBehavior<NetworkPolicy> = {
  setDefaults: ({ spec }) => {
    if (spec === undefined) return
    spec.podSelector ??= {}
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
    }
    if ((spec.policyTypes ?? []).length > 0) return
    spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
  },
  validate: validatePolicy,
  warnings: ({ spec }) => [
    ...(spec?.ingress ?? []).flatMap(({ from }, i) => warnOfBlocks(from, path.child('ingress').index(i).child('from'))),
    ...(spec?.egress ?? []).flatMap(({ to }, i) => warnOfBlocks(to, path.child('egress').index(i).child('to'))),
  ],
  columns: [nameColumn, column('Pod-Selector', 'Pods that the policy is for'), ageColumn],
  row: ({ metadata, spec }, nowMs) => [
    metadata.name,
    formatSelector(spec?.podSelector ?? {}),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Addresses that services have. Source: ValidateIPAddress, pkg/apis/networking/validation v1.37. */
export const ipAddressBehavior: KindBehavior<IPAddress> = {
  nameRule: (name) =>
    checkIp(name, new FieldPath()).map((error) => error.message.replace(/^Invalid value: "[^"]*": /, '')),
  hasGeneration: false,
  validate: validateAddress,
  validateUpdate: (now, old) => checkImmutable(now.spec?.parentRef, old.spec?.parentRef, path.child('parentRef')),
  columns: [nameColumn, column('ParentRef', 'Object that has the address')],
  row: ({ metadata, spec }) => {
    if (spec?.parentRef === undefined) return [metadata.name, '<none>']
    const { group = '', resource, namespace, name } = spec.parentRef
    const type = (group === '' ? resource : `${resource}.${group}`).toLowerCase()
    return [metadata.name, `${type}/${namespace ? `${namespace}/` : ''}${name}`]
  },
}

/** Ranges from which services get addresses. Source: ValidateServiceCIDR, pkg/apis/networking/validation v1.37. */
export const serviceCIDRBehavior: KindBehavior<ServiceCIDR> = {
  hasGeneration: false,
  validate: ({ spec }) => validateServiceCIDRs(spec?.cidrs ?? []),
  validateUpdate: ({ spec }, { spec: old }) => validateServiceCIDRUpdate(spec?.cidrs ?? [], old?.cidrs ?? []),
  columns: [nameColumn, column('CIDRs', 'The ranges'), ageColumn],
  row: ({ metadata, spec }, nowMs) => [
    metadata.name,
    (spec?.cidrs ?? []).join(','),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

function validatePolicy({ spec = {} }: Readonly<NetworkPolicy>): FieldError[] {
  const errors = validateLabelSelector(spec.podSelector, path.child('podSelector'))
  for (const [i, { ports, from }] of (spec.ingress ?? []).entries()) {
    errors.push(...validateTraffic(ports, from, { at: path.child('ingress').index(i), peers: 'from' }))
  }
  for (const [i, { ports, to }] of (spec.egress ?? []).entries()) {
    errors.push(...validateTraffic(ports, to, { at: path.child('egress').index(i), peers: 'to' }))
  }
  const types = spec.policyTypes ?? []
  const typesPath = path.child('policyTypes')
  if (types.length > 2) return [...errors, invalid(typesPath, types, 'may not specify more than two policyTypes')]
  return [...errors, ...types.flatMap((type, i) => checkOneOf(type, typesPath.index(i), ['Ingress', 'Egress']))]
}

interface TrafficContext {
  readonly at: FieldPath
  readonly peers: 'from' | 'to'
}

function validateTraffic(
  ports: readonly NetworkPolicyPort[] | undefined,
  peers: readonly NetworkPolicyPeer[] | undefined,
  context: TrafficContext,
): FieldError[] {
  const portsPath = context.at.child('ports')
  const peersPath = context.at.child(context.peers)
  return [
    ...(ports ?? []).flatMap((port, i) => validatePort(port, portsPath.index(i))),
    ...(peers ?? []).flatMap((peer, i) => validatePeer(peer, peersPath.index(i))),
  ]
}

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, at: FieldPath): FieldError[] {
  const errors = checkOneOf(protocol, at.child('protocol'), ['TCP', 'UDP', 'SCTP'])
  const end = at.child('endPort')
  if (port === undefined) {
    return endPort === undefined
      ? errors
      : [...errors, invalid(end, endPort, 'may not be specified when `port` is not specified')]
  }
  errors.push(...checkPort(port, at.child('port')))
  if (endPort === undefined) return errors
  if (typeof port === 'string')
    return [...errors, invalid(end, endPort, 'may not be specified when `port` is non-numeric')]
  if (endPort < port) errors.push(invalid(end, endPort, 'must be greater than or equal to `port`'))
  return [...errors, ...checkPortNumber(endPort, end)]
}

function validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, at: FieldPath): FieldError[] {
  const hasSelector = podSelector !== undefined || namespaceSelector !== undefined
  if (!hasSelector && ipBlock === undefined) return [required(at, 'must specify a peer')]
  const errors = [
    ...validateLabelSelector(podSelector, at.child('podSelector')),
    ...validateLabelSelector(namespaceSelector, at.child('namespaceSelector')),
  ]
  if (ipBlock === undefined) return errors
  errors.push(...validateBlock(ipBlock, at.child('ipBlock')))
  return hasSelector ? [...errors, forbiddenField(at, 'may not specify both ipBlock and another peer')] : errors
}

function validateBlock({ cidr, except = [] }: NonNullable<NetworkPolicyPeer['ipBlock']>, at: FieldPath): FieldError[] {
  if (!cidr) return [required(at.child('cidr'))]
  const errors = checkCidr(cidr, at.child('cidr'))
  const outer = parseCidr(cidr)
  if (outer === undefined) return errors
  for (const [i, text] of except.entries()) {
    const exceptPath = at.child('except').index(i)
    errors.push(...checkCidr(text, exceptPath))
    const inner = parseCidr(text)
    if (inner !== undefined && !isStrictSubnet(inner, outer)) {
      errors.push(invalid(exceptPath, text, 'must be a strict subset of `cidr`'))
    }
  }
  return errors
}

function warnOfBlocks(peers: readonly NetworkPolicyPeer[] = [], at: FieldPath): string[] {
  return peers.flatMap(({ ipBlock }, i) => {
    if (ipBlock === undefined) return []
    const block = at.index(i).child('ipBlock')
    return [
      ...warnOfCidr(ipBlock.cidr, block.child('cidr')),
      ...(ipBlock.except ?? []).flatMap((text, j) => warnOfCidr(text, block.child('except').index(j))),
    ]
  })
}

/** Source: GetWarningsForCIDR, apimachinery pkg/util/validation/ip.go v0.37; what else it warns of is refused. */
function warnOfCidr(text: string, at: FieldPath): string[] {
  const cidr = parseCidr(text)
  if (cidr?.ip.family !== 'IPv6') return []
  const canonical = `${cidr.ip.text}/${cidr.prefix}`
  if (canonical === text) return []
  return [
    `${String(at)}: IPv6 CIDR value ${JSON.stringify(text)} should be in RFC 5952 canonical format (${JSON.stringify(canonical)})`,
  ]
}

function validateAddress({ spec }: Readonly<IPAddress>): FieldError[] {
  const at = path.child('parentRef')
  const ref = spec?.parentRef
  if (ref === undefined) return [required(at)]
  return [
    ...(ref.group ? invalidFor(at.child('group'), ref.group, checkDnsSubdomain(ref.group)) : []),
    ...checkRequiredName(ref.resource, at.child('resource'), checkPathSegment),
    ...checkRequiredName(ref.name, at.child('name'), checkPathSegment),
    ...(ref.namespace ? invalidFor(at.child('namespace'), ref.namespace, checkPathSegment(ref.namespace)) : []),
  ]
}

function validateServiceCIDRs(cidrs: readonly string[]): FieldError[] {
  if (cidrs.length === 0) return [required(cidrsPath, 'at least one CIDR required')]
  if (cidrs.length > 2) return [invalid(cidrsPath, { cidrs }, 'may only hold up to 2 values')]
  const errors = cidrs.flatMap((cidr, i) => checkCidr(cidr, cidrsPath.index(i)))
  const [first, second] = cidrs.map((cidr) => parseCidr(cidr)?.ip.family)
  if (cidrs.length === 2 && first === second && first !== undefined) {
    const detail = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64'
    errors.push(invalid(cidrsPath, cidrs, detail))
  }
  return errors
}

/** A second family may be added; nothing else changes. */
function validateServiceCIDRUpdate(now: readonly string[], before: readonly string[]): FieldError[] {
  const isAdded = before.length === 1 && now.length === 2
  if (!isAdded && now.length !== before.length) return [invalid(cidrsPath, now, IMMUTABLE)]
  return before.flatMap((cidr, i) => (cidr === now[i] ? [] : [invalid(cidrsPath.index(i), now[i], IMMUTABLE)]))
}
