import type { NetworkStatus } from '@centaurus/network'
import type { Home } from '../home.ts'
import { askNetwork, readJson } from '../network-daemon-client.ts'
import { formatTable } from '../table.ts'

/** Prints how this host's network is. Exits with 1 when it is not ready. */
export async function showNetworkStatus(home: Home, { json }: { readonly json: boolean }): Promise<void> {
  const status = await readJson<NetworkStatus>(await askNetwork(home, '/status'))
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : describe(status))
  if (status.notReady !== undefined) process.exitCode = 1
}

function describe(status: NetworkStatus): string {
  const parts = [
    describeHost(status),
    section('Pods', describePods(status)),
    section('Networks', describeNetworks(status)),
    section('Addresses towards the world', describeEgress(status)),
    section(`Classes${describeLink(status)}`, describeClasses(status)),
    section('Channels between sandboxes', describeChannels(status)),
    section('Other hosts', describeNodes(status)),
    section('Tables', describeTables(status)),
    section('Dropped packets', describeDrops(status)),
    section(
      'Services that are not served',
      lines(status.skippedServices.map((each) => `${each.service}: ${each.reason}`)),
    ),
    section(
      'Policies that are closed where they were not understood',
      lines(status.policyProblems.map((each) => `${each.policy}: ${each.problem}`)),
    ),
  ]
  return parts.join('')
}

function describeHost({ node, notReady, attachments, podBlocks, services, lastChange }: NetworkStatus): string {
  const devices = attachments.map(({ device, program, hook }) => `${program} at ${device} (${hook})`).join(', ')
  return lines([
    `Host        ${node}`,
    `State       ${notReady ?? 'ready'}`,
    `Addresses   ${podBlocks.join(', ') || 'none yet'}`,
    `Attached    ${devices || 'to no device yet'}`,
    `Services    ${services} addresses and ports`,
    ...(lastChange === undefined
      ? []
      : [`Last change ${lastChange.at}, effective after ${lastChange.effectiveAfterMs.toFixed(1)} ms`]),
  ])
}

function section(title: string, body: string): string {
  return body === '' ? '' : `\n${title}\n${body}`
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('')
}

function describePods({ pods }: NetworkStatus): string {
  if (pods.length === 0) return ''
  const header = [
    'TENANT',
    'NAMESPACE',
    'NAME',
    'ADDRESS',
    'NETWORK',
    'IDENTITY',
    'SET',
    'ISOLATED',
    'CLASS',
    'EGRESS',
    'INGRESS',
  ]
  const rows = pods.map(({ tenant, namespace, name, ip, vni, identity, policySet, isolated, quality }) => [
    tenant ?? '?',
    namespace ?? '?',
    name ?? '?',
    ip,
    String(vni),
    String(identity),
    policySet === 0 ? 'closed' : String(policySet),
    [...(isolated.ingress ? ['ingress'] : []), ...(isolated.egress ? ['egress'] : [])].join(',') || '-',
    `${quality.networkClass}/${quality.priority}`,
    formatBandwidth(quality.egressBandwidth),
    formatBandwidth(quality.ingressBandwidth),
  ])
  return formatTable(header, rows)
}

function describeNetworks({ networks }: NetworkStatus): string {
  if (networks.length === 0) return ''
  const header = ['NETWORK', 'TENANT', 'VPC', 'PODS', 'SETS', 'IDENTITIES']
  const rows = networks.map(({ vni, tenant, vpc, pods, policySets, identities }) => [
    String(vni),
    tenant ?? '?',
    vpc ?? '?',
    String(pods),
    String(policySets),
    String(identities),
  ])
  return formatTable(header, rows)
}

function describeEgress({ egressAddresses }: NetworkStatus): string {
  if (egressAddresses.length === 0) return ''
  const rows = egressAddresses.map(({ vni, tenant, vpc, address, words }) => [String(vni), tenant, vpc, address, words])
  return formatTable(['NETWORK', 'TENANT', 'VPC', 'ADDRESS', 'STATE'], rows)
}

/** What a class may send and has sent; those that never sent anything are left out. */
function describeClasses({ shaping }: NetworkStatus): string {
  const rows = shaping.levels
    .filter(({ packets, drops }) => packets + drops > 0)
    .map(({ name, rate, packets, bytes, drops, marks, backlogMs }) => [
      name,
      formatBandwidth(rate),
      String(packets),
      String(bytes),
      String(drops),
      String(marks),
      backlogMs.toFixed(1),
    ])
  const header = ['CLASS', 'MAY SEND', 'PACKETS', 'BYTES', 'DROPPED', 'MARKED', 'WAIT MS']
  return rows.length === 0 ? '' : formatTable(header, rows)
}

const MODES = { edt: 'departure times (fq)', htb: 'HTB', none: 'marks only' } as const

function describeLink({ shaping: { device, mode, bandwidth, problem } }: NetworkStatus): string {
  if (device === undefined) return ''
  const link = bandwidth === undefined ? 'of unknown bandwidth' : `with ${formatBandwidth(bandwidth)}`
  return ` at ${device} ${link}, by ${MODES[mode]}${problem === undefined ? '' : `\n${problem}`}`
}

function formatBandwidth(bitsPerSecond: number | undefined): string {
  if (bitsPerSecond === undefined) return '-'
  return `${Number((bitsPerSecond / 1e6).toPrecision(4))} Mbit/s`
}

/** Nothing where there is no sandbox. */
function describeChannels({ channels }: NetworkStatus): string {
  if (channels === undefined) return ''
  const { problem, pods, links, connections, opened, carriedBytes } = channels
  if (problem !== undefined) return lines([`None. ${problem}`])
  return lines([
    `Pods        ${pods}`,
    `Links       ${links.join(', ') || 'none'}`,
    `Connections ${connections}, of ${opened} that were made`,
    `Carried     ${carriedBytes} bytes to and from other hosts`,
  ])
}

function describeNodes({ nodes }: NetworkStatus): string {
  if (nodes.length === 0) return ''
  const rows = nodes.map(({ name, address, podBlocks }) => [
    name,
    address ?? 'none yet',
    podBlocks.join(',') || 'none yet',
  ])
  return formatTable(['NODE', 'ADDRESS', 'PODS'], rows)
}

function describeTables({ tables }: NetworkStatus): string {
  const rows = tables
    .map(({ name, entries, maxEntries }) => ({ name, entries, maxEntries, percent: (100 * entries) / maxEntries }))
    .filter(({ entries }) => entries > 0)
    .map(({ name, entries, maxEntries, percent }) => [
      name,
      String(entries),
      String(maxEntries),
      `${Math.ceil(percent)} %`,
    ])
  return rows.length === 0 ? '' : formatTable(['TABLE', 'ENTRIES', 'OF', 'FULL'], rows)
}

function describeDrops({ drops }: NetworkStatus): string {
  const rows = Object.entries(drops)
    .filter(([, packets]) => packets > 0)
    .map(([reason, packets]) => [reason, String(packets)])
  return rows.length === 0 ? '' : formatTable(['REASON', 'PACKETS'], rows)
}
