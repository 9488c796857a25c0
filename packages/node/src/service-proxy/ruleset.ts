import type { Backend, Frontend } from './plan.ts'

export interface RulesetOptions {
  /** Name of our own table; nothing else is touched. */
  readonly table: string
  /**
   * Addresses of this node's pods. When answers between pods of one bridge do not pass the host's connection tracking (no
   * br_netfilter), their connections through a service must seem to come from the host.
   */
  readonly masqueradeWithin: string | undefined
}

/** Mark on packets that must get the node's address as source. Source: kube-proxy's masquerade mark (bit 14). */
const MASQUERADE_MARK = '0x4000'

/**
 * An nftables script that replaces the table in one step. A packet costs one look-up in a map by address, protocol and port, and
 * one to choose the pod, however many services there are. Pure.
 */
export function formatRuleset(frontends: readonly Frontend[], options: RulesetOptions): string {
  const { table } = options
  const served = frontends.filter((frontend) => frontend.backends.length > 0 && frontend.addresses.length > 0)
  const external = frontends.filter((frontend) => frontend.nodePort > 0 && frontend.externalBackends.length > 0)
  const empty = frontends.filter((frontend) => frontend.backends.length === 0)
  const lines = [
    `table ip ${table}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    ...served.flatMap((frontend) =>
      chain(`service ${frontend.name}`, frontend, { backends: frontend.backends, mark: false }),
    ),
    ...external.flatMap((frontend) =>
      chain(`external ${frontend.name}`, frontend, {
        backends: frontend.externalBackends,
        mark: !frontend.keepsSource,
      }),
    ),
    ...map(
      'service_addresses',
      'ipv4_addr . inet_proto . inet_service : verdict',
      served.flatMap((frontend) =>
        frontend.addresses.map(
          (address) =>
            `${address} . ${frontend.protocol} . ${frontend.port} : goto ${chainName(`service ${frontend.name}`)}`,
        ),
      ),
    ),
    ...map(
      'node_ports',
      'inet_proto . inet_service : verdict',
      external.map(
        (frontend) => `${frontend.protocol} . ${frontend.nodePort} : goto ${chainName(`external ${frontend.name}`)}`,
      ),
    ),
    ...set(
      'without_endpoints',
      'ipv4_addr . inet_proto . inet_service',
      empty.flatMap((frontend) =>
        frontend.addresses.map((address) => `${address} . ${frontend.protocol} . ${frontend.port}`),
      ),
    ),
    ...set(
      'hairpins',
      'ipv4_addr . ipv4_addr',
      unique(served.flatMap(({ backends }) => backends.map(({ address }) => `${address} . ${address}`))),
    ),
    ...hooks(options),
    '}',
  ]
  return `${lines.join('\n')}\n`
}

/** A script that takes the table away, whether it is there or not. */
export function formatRemoval(table: string): string {
  return `table ip ${table}\ndelete table ip ${table}\n`
}

function hooks({ masqueradeWithin }: RulesetOptions): string[] {
  const dispatch = [
    '    ip daddr . meta l4proto . th dport vmap @service_addresses',
    '    fib daddr type local meta l4proto . th dport vmap @node_ports',
  ]
  const refuse = ['    ip daddr . meta l4proto . th dport @without_endpoints reject']
  return [
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    ...dispatch,
    '  }',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    ...dispatch,
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat - 5; policy accept;',
    `    meta mark & ${MASQUERADE_MARK} == ${MASQUERADE_MARK} masquerade`,
    '    ct status dnat ip saddr . ip daddr @hairpins masquerade',
    ...(masqueradeWithin === undefined
      ? []
      : [`    ct status dnat ip saddr ${masqueradeWithin} ip daddr ${masqueradeWithin} masquerade`]),
    '  }',
    '  chain refuse_forwarded {',
    '    type filter hook forward priority filter; policy accept;',
    ...refuse,
    '  }',
    '  chain refuse_local {',
    '    type filter hook output priority filter; policy accept;',
    ...refuse,
    '  }',
  ]
}

function chain(
  name: string,
  frontend: Frontend,
  { backends, mark }: { backends: readonly Backend[]; mark: boolean },
): string[] {
  const choose = frontend.isSticky ? `jhash ip saddr mod ${backends.length}` : `numgen random mod ${backends.length}`
  const targets = backends.map(({ address, port }, i) => `${i} : ${address} . ${port}`).join(', ')
  return [
    `  chain ${chainName(name)} {`,
    `    comment "${frontend.name}"`,
    ...(mark ? [`    meta mark set meta mark | ${MASQUERADE_MARK}`] : []),
    `    meta l4proto ${frontend.protocol} dnat ip to ${choose} map { ${targets} }`,
    '  }',
  ]
}

/** A name that nftables takes, unique for each Kubernetes name: what is not alphanumeric becomes its code. */
function chainName(name: string): string {
  return name.replace(/[^a-zA-Z0-9]/g, (character) =>
    character === ' ' ? '_' : `_${character.charCodeAt(0).toString(16)}_`,
  )
}

function map(name: string, type: string, elements: readonly string[]): string[] {
  return [`  map ${name} {`, `    type ${type}`, ...listElements(firstOfEachKey(elements)), '  }']
}

/** Two Services may claim one external address: the first by name has it, since one clash would make the kernel refuse the whole table. */
function firstOfEachKey(elements: readonly string[]): string[] {
  const byKey = new Map<string, string>()
  for (const element of elements) {
    const key = element.slice(0, element.indexOf(' : '))
    if (!byKey.has(key)) byKey.set(key, element)
  }
  return [...byKey.values()]
}

function set(name: string, type: string, elements: readonly string[]): string[] {
  return [`  set ${name} {`, `    type ${type}`, ...listElements(unique(elements)), '  }']
}

function listElements(elements: readonly string[]): string[] {
  return elements.length === 0 ? [] : [`    elements = { ${elements.join(', ')} }`]
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)]
}
