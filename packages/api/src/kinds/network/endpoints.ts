import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset } from '../../generated/types/core/v1.ts'
import type { Endpoint, EndpointSlice } from '../../generated/types/discovery/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import { validateLabels } from '../../meta/validate-object-meta.ts'
import { duplicate, FieldPath, invalid, required, tooMany, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { PORT_PROTOCOLS } from '../pod/policies.ts'
import { checkImmutable, checkPortNumber, checkRequiredOneOf, invalidFor } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { bumpGeneration } from '../shared/define.ts'
import { formatAge } from '../shared/duration.ts'
import { checkEndpointIp, checkIp, checkIpStrict, parseIp } from '../shared/ip.ts'
import { ageColumn, column, joinSome, nameColumn } from '../shared/table.ts'

const SHOWN_MAX = 3
const ENDPOINTS_MAX = 1_000
const ADDRESSES_MAX = 100
const PORTS_MAX = 20_000
const HINTS_MAX = 8

/** Endpoints. Source: ValidateEndpoints, pkg/apis/core/validation; pkg/registry/core/endpoint v1.37. */
export const endpointsBehavior: KindBehavior<Endpoints> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  setDefaults: ({ subsets }) => {
    for (const subset of subsets ?? []) for (const port of subset.ports ?? []) port.protocol = port.protocol || 'TCP'
  },
  validate: ({ subsets }) =>
    (subsets ?? []).flatMap((subset, i) => validateSubset(subset, new FieldPath('subsets').index(i))),
  columns: [nameColumn, column('Endpoints', 'Addresses, with ports'), ageColumn],
  row: ({ metadata, subsets }, nowMs) => [
    metadata.name,
    formatSubsets(subsets ?? []),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Endpoint slices. Source: pkg/apis/discovery/{v1/defaults.go,validation}, pkg/registry/discovery/endpointslice v1.37. */
export const endpointSliceBehavior: KindBehavior<EndpointSlice> = {
  setDefaults: ({ ports }) => {
    for (const port of ports ?? []) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  prepareForUpdate: (draft, old) => {
    if (!semanticEqual(draft.metadata.labels, old.metadata.labels)) bumpGeneration(draft, old)
  },
  validate: validateSlice,
  validateUpdate: (now, old) => checkImmutable(now.addressType, old.addressType, new FieldPath('addressType')),
  columns: [
    nameColumn,
    column('AddressType', 'Kind of the addresses'),
    column('Ports', 'Ports of every endpoint'),
    column('Endpoints', 'Addresses'),
    ageColumn,
  ],
  row: ({ metadata, addressType, ports, endpoints }, nowMs) => [
    metadata.name,
    addressType,
    joinSome(
      (ports ?? []).map((port) => (port.port === undefined ? (port.name ?? '*') : String(port.port))),
      SHOWN_MAX,
    ),
    joinSome(
      (endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? []),
      SHOWN_MAX,
    ),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Source: formatEndpoints, pkg/printers/internalversion v1.37. */
function formatSubsets(subsets: readonly EndpointSubset[]): string {
  if (subsets.length === 0) return '<none>'
  const texts = subsets.flatMap(({ addresses = [], ports = [] }) => {
    if (ports.length === 0) return addresses.map((address) => address.ip)
    return ports.flatMap(({ port }) =>
      addresses.map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
    )
  })
  return texts.length === 0 ? '' : joinSome(texts, SHOWN_MAX)
}

function validateSubset(
  { addresses = [], notReadyAddresses = [], ports = [] }: EndpointSubset,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  if (addresses.length + notReadyAddresses.length === 0) {
    errors.push(required(path, 'must specify `addresses` or `notReadyAddresses`'))
  }
  for (const [list, entries] of Object.entries({ addresses, notReadyAddresses })) {
    errors.push(...entries.flatMap((address, i) => validateAddress(address, path.child(list).index(i))))
  }
  return [
    ...errors,
    ...ports.flatMap((port, i) => validatePort(port, path.child('ports').index(i), { named: ports.length > 1 })),
  ]
}

function validateAddress({ ip, hostname, nodeName }: EndpointAddress, path: FieldPath): FieldError[] {
  const errors = checkIpStrict(ip ?? '', path.child('ip'))
  if (hostname) errors.push(...invalidFor(path.child('hostname'), hostname, checkDnsLabel(hostname)))
  if (nodeName !== undefined) errors.push(...invalidFor(path.child('nodeName'), nodeName, checkDnsSubdomain(nodeName)))
  return [...errors, ...checkEndpointIp(ip ?? '', path.child('ip'))]
}

function validatePort(port: EndpointPort, path: FieldPath, { named }: { readonly named: boolean }): FieldError[] {
  const errors: FieldError[] = []
  if (port.name) errors.push(...invalidFor(path.child('name'), port.name, checkDnsLabel(port.name)))
  else if (named) errors.push(required(path.child('name')))
  errors.push(...checkPortNumber(port.port ?? 0, path.child('port')))
  errors.push(...checkRequiredOneOf(port.protocol, path.child('protocol'), PORT_PROTOCOLS))
  return [...errors, ...checkAppProtocol(port.appProtocol, path.child('appProtocol'))]
}

function checkAppProtocol(name: string | undefined, path: FieldPath): FieldError[] {
  return name === undefined ? [] : invalidFor(path, name, checkQualifiedName(name))
}

function validateSlice({ addressType, endpoints = [], ports = [] }: Readonly<EndpointSlice>): FieldError[] {
  const errors = checkRequiredOneOf(addressType, new FieldPath('addressType'), ['FQDN', 'IPv4', 'IPv6'])
  const portsPath = new FieldPath('ports')
  const endpointsPath = new FieldPath('endpoints')
  if (ports.length > PORTS_MAX) errors.push(tooMany(portsPath, ports.length, PORTS_MAX))
  else {
    const names = new Set<string>()
    for (const [i, { name = '', protocol, appProtocol }] of ports.entries()) {
      const at = portsPath.index(i)
      if (name !== '') errors.push(...invalidFor(at.child('name'), name, checkDnsLabel(name)))
      if (names.has(name)) errors.push(duplicate(at.child('name'), name))
      names.add(name)
      errors.push(...checkRequiredOneOf(protocol, at.child('protocol'), PORT_PROTOCOLS))
      errors.push(...checkAppProtocol(appProtocol, at.child('appProtocol')))
    }
  }
  if (endpoints.length > ENDPOINTS_MAX) return [...errors, tooMany(endpointsPath, endpoints.length, ENDPOINTS_MAX)]
  return [
    ...errors,
    ...endpoints.flatMap((endpoint, i) => validateEndpoint(endpoint, endpointsPath.index(i), addressType)),
  ]
}

function validateEndpoint(endpoint: Endpoint, path: FieldPath, addressType: string): FieldError[] {
  const at = path.child('addresses')
  const addresses = endpoint.addresses ?? []
  const errors: FieldError[] = []
  if (addresses.length === 0) errors.push(required(at, 'must contain at least 1 address'))
  if (addresses.length > ADDRESSES_MAX) errors.push(tooMany(at, addresses.length, ADDRESSES_MAX))
  for (const [i, address] of addresses.entries())
    errors.push(...validateSliceAddress(address, at.index(i), addressType))
  const { nodeName, hostname, hints } = endpoint
  if (nodeName !== undefined) errors.push(...invalidFor(path.child('nodeName'), nodeName, checkDnsSubdomain(nodeName)))
  errors.push(...validateLabels(endpoint.deprecatedTopology ?? {}, path.child('deprecatedTopology')))
  if (hostname !== undefined) errors.push(...invalidFor(path.child('hostname'), hostname, checkDnsLabel(hostname)))
  const rules = { forZones: checkLabelValue, forNodes: checkDnsSubdomain }
  for (const list of ['forZones', 'forNodes'] as const) {
    const names = (hints?.[list] ?? []).map((hint) => hint.name)
    const hintsPath = path.child('hints', list)
    if (names.length > HINTS_MAX) errors.push(tooMany(hintsPath, names.length, HINTS_MAX))
    for (const [i, name] of names.entries()) {
      if (names.indexOf(name) < i) errors.push(duplicate(hintsPath.index(i).child('name'), name))
      errors.push(...invalidFor(hintsPath.index(i).child('name'), name, rules[list](name)))
    }
  }
  return errors
}

function validateSliceAddress(address: string, path: FieldPath, addressType: string): FieldError[] {
  if (addressType === 'FQDN') {
    const name = address.endsWith('.') ? address.slice(0, -1) : address
    if (name === '') return [required(path)]
    const messages = checkDnsSubdomain(name)
    if (messages.length > 0) return [invalid(path, name, messages.join(','))]
    return name.includes('.')
      ? []
      : [invalid(path, name, 'should be a domain with at least two segments separated by dots')]
  }
  const errors = addressType === 'IPv6' ? checkIp(address, path) : checkIpStrict(address, path)
  if (errors.length > 0) return errors
  const family = parseIp(address)!.family
  if (family !== addressType) errors.push(invalid(path, address, `must be an ${addressType} address`))
  return [...errors, ...checkEndpointIp(address, path)]
}
