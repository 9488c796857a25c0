import { parseIpv4 } from '@centaurus/base'
import type { HostPort } from './attachment.ts'
import { CniError } from './cni-error.ts'

/** Versions of the CNI specification whose results we can write. */
export const CNI_VERSIONS = ['0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof CNI_VERSIONS)[number]

export const CNI_COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
export type CniCommand = (typeof CNI_COMMANDS)[number]

/** Commands that newer versions brought. Source: CNI specification 1.1.0. */
const NEEDS_1_1: ReadonlySet<CniCommand> = new Set(['GC', 'STATUS'])
/** Source: CNI specification, "Parameters": as containernetworking/cni pkg/utils has it. */
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
/** IFNAMSIZ, with its final zero. */
const IFNAME_BYTES_MAX = 15
const PORT_MAX = 65_535

/** What the shim hands on of its environment. */
export interface CniEnvironment {
  readonly containerId: string | undefined
  readonly netns: string | undefined
  readonly ifname: string | undefined
  readonly args: string | undefined
}

/** One container's interface, as the runtime names it. */
export interface AttachmentKey {
  readonly containerId: string
  readonly ifname: string
}

export interface CniDns {
  readonly nameservers?: readonly string[]
  readonly domain?: string
  readonly search?: readonly string[]
  readonly options?: readonly string[]
}

/** The part of the network configuration that means something to us. */
export interface CniConfig {
  readonly cniVersion: CniVersion
  /** Of the network. */
  readonly name: string
  readonly hostPorts: readonly HostPort[]
  readonly dns: CniDns | undefined
  /** Addresses that ADD gave, when the runtime says them. */
  readonly previousAddresses: readonly string[] | undefined
  readonly validAttachments: readonly AttachmentKey[] | undefined
}

export type CniCall =
  | {
      readonly command: 'ADD'
      readonly config: CniConfig
      readonly key: AttachmentKey
      readonly netns: string
      readonly pod: PodArgs
    }
  | { readonly command: 'CHECK'; readonly config: CniConfig; readonly key: AttachmentKey; readonly netns: string }
  | { readonly command: 'DEL'; readonly config: CniConfig; readonly key: AttachmentKey }
  | { readonly command: 'GC'; readonly config: CniConfig; readonly valid: readonly AttachmentKey[] }
  | { readonly command: 'STATUS'; readonly config: CniConfig }

/** A pod as container runtimes name it in CNI_ARGS. */
export interface PodArgs {
  readonly namespace: string
  readonly name: string
  readonly uid: string | undefined
}

/** Reads one call. Throws a {@link CniError} that says what is wrong with it. Pure. */
export function parseCniCall(command: CniCommand, environment: CniEnvironment, body: string): CniCall {
  const config = parseConfig(body)
  if (NEEDS_1_1.has(command) && config.cniVersion !== '1.1.0')
    throw new CniError(
      'incompatibleVersion',
      `${command} needs cniVersion 1.1.0, and the configuration has ${config.cniVersion}`,
    )
  switch (command) {
    case 'ADD':
      return {
        command,
        config,
        key: parseKey(environment),
        netns: requireNetns(environment),
        pod: parsePodArgs(environment.args),
      }
    case 'CHECK':
      return { command, config, key: parseKey(environment), netns: requireNetns(environment) }
    case 'DEL':
      return { command, config, key: parseKey(environment) }
    case 'GC':
      if (config.validAttachments === undefined)
        throw new CniError('invalidConfig', 'GC needs "cni.dev/valid-attachments" in the configuration')
      return { command, config, valid: config.validAttachments }
    case 'STATUS':
      return { command, config }
  }
}

/** The version in which an answer to this body has to be, as far as it can be read. */
export function answerVersionOf(body: string): CniVersion {
  try {
    const { cniVersion } = JSON.parse(body) as { cniVersion?: unknown }
    return CNI_VERSIONS.find((version) => version === cniVersion) ?? '1.0.0'
  } catch {
    return '1.0.0'
  }
}

function parseConfig(body: string): CniConfig {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (cause) {
    throw new CniError('undecodable', 'The network configuration is no JSON', { cause })
  }
  if (!isObject(value)) throw new CniError('undecodable', 'The network configuration must be a JSON object')
  const cniVersion = CNI_VERSIONS.find((version) => version === value['cniVersion'])
  if (cniVersion === undefined) {
    const asked = JSON.stringify(value['cniVersion'] ?? '0.1.0')
    throw new CniError(
      'incompatibleVersion',
      `cniVersion ${asked} is not supported; use one of ${CNI_VERSIONS.join(', ')}`,
    )
  }
  if (typeof value['name'] !== 'string' || value['name'] === '')
    throw new CniError('invalidConfig', 'The network configuration must have a "name"')
  return {
    cniVersion,
    name: value['name'],
    hostPorts: parseHostPorts(value['runtimeConfig']),
    dns: isObject(value['dns']) ? value['dns'] : undefined,
    previousAddresses: parsePreviousAddresses(value['prevResult']),
    validAttachments: parseValidAttachments(value['cni.dev/valid-attachments']),
  }
}

/** Mappings without a port of the host are documentation. Source: containernetworking/plugins portmap, parseConfig. */
function parseHostPorts(runtimeConfig: unknown): HostPort[] {
  const mappings: unknown = isObject(runtimeConfig) ? (runtimeConfig['portMappings'] ?? []) : []
  if (!Array.isArray(mappings)) throw new CniError('invalidConfig', '"portMappings" must be a list')
  return mappings
    .map(lowerKeys)
    .filter(({ hostport }) => hostport !== undefined && hostport !== 0)
    .map(parseHostPort)
}

/** containerd writes `HostPort`, others `hostPort`, and Go reads both. Source: go-cni, type PortMapping, which has no JSON names. */
function lowerKeys(mapping: unknown): Record<string, unknown> {
  if (!isObject(mapping))
    throw new CniError('invalidConfig', `Port mapping ${JSON.stringify(mapping)} must be an object`)
  return Object.fromEntries(Object.entries(mapping).map(([key, value]) => [key.toLowerCase(), value]))
}

function parseHostPort(mapping: Record<string, unknown>): HostPort {
  const text = JSON.stringify(mapping)
  const { hostport: hostPort, containerport: containerPort } = mapping
  const protocol = String(mapping['protocol'] ?? 'tcp').toLowerCase()
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
    throw new CniError('invalidConfig', `Port mapping ${text} has a protocol that is none of tcp, udp, sctp`)
  if (!isPort(hostPort) || !isPort(containerPort))
    throw new CniError('invalidConfig', `Port mapping ${text} must have ports from 1 to ${PORT_MAX}`)
  const hostIP = String(mapping['hostip'] ?? '')
  if (['', '0.0.0.0', '::'].includes(hostIP)) return { protocol, hostPort, containerPort, hostIP: undefined }
  if (parseIpv4(hostIP) === undefined)
    throw new CniError('unsupportedField', `Port mapping ${text} has a "hostIP" that is no IPv4 address`)
  return { protocol, hostPort, containerPort, hostIP }
}

function parsePreviousAddresses(result: unknown): string[] | undefined {
  if (!isObject(result) || !Array.isArray(result['ips'])) return undefined
  return result['ips'].map((ip: unknown) => (isObject(ip) ? String(ip['address']) : ''))
}

function parseValidAttachments(list: unknown): AttachmentKey[] | undefined {
  if (list === undefined) return undefined
  if (!Array.isArray(list)) throw new CniError('invalidConfig', '"cni.dev/valid-attachments" must be a list')
  return list.map((entry: unknown) => {
    if (isObject(entry) && typeof entry['containerID'] === 'string' && typeof entry['ifname'] === 'string')
      return { containerId: entry['containerID'], ifname: entry['ifname'] }
    throw new CniError('invalidConfig', `Attachment ${JSON.stringify(entry)} must have a "containerID" and an "ifname"`)
  })
}

function parseKey({ containerId, ifname }: CniEnvironment): AttachmentKey {
  if (containerId === undefined || !CONTAINER_ID.test(containerId))
    throw new CniError(
      'invalidEnvironment',
      `CNI_CONTAINERID is ${JSON.stringify(containerId)}; it must be a container's id`,
    )
  const isDeviceName = ifname !== undefined && /^[^/:\s]+$/.test(ifname) && !['.', '..'].includes(ifname)
  if (!isDeviceName || Buffer.byteLength(ifname) > IFNAME_BYTES_MAX)
    throw new CniError('invalidEnvironment', `CNI_IFNAME is ${JSON.stringify(ifname)}; it must be the name of a device`)
  return { containerId, ifname }
}

function requireNetns({ netns }: CniEnvironment): string {
  if (netns?.startsWith('/') === true && !/\s/.test(netns)) return netns
  throw new CniError(
    'invalidEnvironment',
    `CNI_NETNS is ${JSON.stringify(netns)}; it must be the path of a network namespace`,
  )
}

/** `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web`, in any order. */
function parsePodArgs(text = ''): PodArgs {
  const args = new Map(text.split(';').map((pair) => [pair.split('=', 1)[0]!, pair.slice(pair.indexOf('=') + 1)]))
  const namespace = args.get('K8S_POD_NAMESPACE') ?? ''
  const name = args.get('K8S_POD_NAME') ?? ''
  if (namespace === '' || name === '')
    throw new CniError(
      'invalidEnvironment',
      'CNI_ARGS must have K8S_POD_NAMESPACE and K8S_POD_NAME: only pods are attached',
    )
  const uid = args.get('K8S_POD_UID') ?? ''
  return { namespace, name, uid: uid === '' ? undefined : uid }
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= PORT_MAX
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
