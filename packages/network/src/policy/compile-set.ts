import { formatBlock, maskAddress, type Block } from './block.ts'
import { HOST_IDENTITY, WORLD_IDENTITY, type IdentityTable } from './identity-table.ts'
import { isAboutEverything, type PodView, type Target } from './peer-truth.ts'
import type { KnownLabels } from './pod-selector.ts'
import type { CidrVerdicts, PolicySet, VerdictList } from './policy-set.ts'
import type { ProfileTable } from './profile-table.ts'
import { Program, signRule, type NamedPort, type Selection } from './program.ts'
import { allowsAll, isSameList, OPEN_LIST } from './verdict-list.ts'

/** What policies see of a pod of this host. */
export interface SubjectView extends PodView {
  readonly namedPorts: readonly NamedPort[]
  /** Undefined when it is no IPv4 address. */
  readonly address: Block | undefined
}

/** Addresses outside of the network that policies know by more than the address. */
export interface OutsideView {
  readonly nodes: readonly { readonly known: KnownLabels; readonly addresses: readonly Block[] }[]
  readonly dns: { readonly view: PodView; readonly addresses: readonly Block[] }
}

/** Ports of the cluster's DNS by the names that they have upstream. Source: cluster/addons/dns/coredns v1.37. */
export const DNS_PORTS: readonly NamedPort[] = [
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'dns-tcp', protocol: 'TCP', port: 53 },
]

/** Who may send to a pod, and how to extend that to identities that come later. */
export interface IngressPart {
  readonly program: Program
  /** Texts of the peers that its rules mean. */
  readonly podPeers: readonly string[]
  readonly byIdentity: Map<number, VerdictList>
  readonly others: VerdictList
  readonly cidrs: readonly CidrVerdicts[]
}

export function compileIngress(selection: Selection, pod: SubjectView, identities: IdentityTable): IngressPart {
  const program = new Program(selection, { namedPorts: pod.namedPorts, doubt: 'closed' })
  const others = program.listForTarget({ pod: 'anything' })
  const nobody = program.listForTarget({})
  const byIdentity = new Map<number, VerdictList>()
  const add = (id: number, list: VerdictList): void => {
    if (!isSameList(list, others)) byIdentity.set(id, list)
  }
  const signatures = signIdentities(program, identities)
  for (const [id, signature] of signatures) add(id, program.listFor(signature))
  add(HOST_IDENTITY, nobody)
  add(WORLD_IDENTITY, nobody)
  if (!isSameList(nobody, others)) {
    for (const id of identities.ids()) if (!signatures.has(id)) byIdentity.set(id, nobody)
  }
  const blocks = blocksOf(program).map((block) => ({ block, list: program.listForTarget({ block }) }))
  const peers = program.rules.flatMap(({ rule }) => rule.peers)
  const podPeers = peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.text] : []))
  return { program, podPeers, byIdentity, others, cidrs: pruneBlocks(blocks, nobody) }
}

/** What the part says about an identity that came later; undefined when it is what {@link IngressPart.others} says. */
export function compileIngressPeer({ program, others }: IngressPart, peer: PodView): VerdictList | undefined {
  const list = program.listForTarget({ pod: peer })
  return isSameList(list, others) ? undefined : list
}

export function compileEgress(selection: Selection, outside: OutsideView): PolicySet['egress'] {
  if (selection.key === '') return { isolated: false, toPods: OPEN_LIST, outside: { others: OPEN_LIST, cidrs: [] } }
  const anyPod: Target = { pod: 'anyPod', block: 'anyAddress' }
  const program = new Program(selection, { namedPorts: [], doubt: 'closed' })
  const others = program.listForTarget({})
  const blocks = blocksOf(program).map((block) => ({ block, list: program.listForTarget({ block }) }))
  const hasNodes = program.rules.some(({ rule }) => rule.peers.some(({ kind }) => kind === 'nodes'))
  for (const { known, addresses } of hasNodes ? outside.nodes : []) {
    for (const block of addresses) blocks.push({ block, list: program.listForTarget({ node: known, block }) })
  }
  const dns = new Program(selection, { namedPorts: DNS_PORTS, doubt: 'closed' })
  for (const block of outside.dns.addresses) {
    blocks.push({ block, list: dns.listForTarget({ pod: outside.dns.view, block }) })
  }
  return {
    isolated: !allowsAll(new Program(selection, { namedPorts: 'unknown', doubt: 'closed' }).listForTarget(anyPod)),
    toPods: new Program(selection, { namedPorts: 'unknown', doubt: 'open' }).listForTarget(anyPod),
    outside: { others, cidrs: pruneBlocks(blocks, others) },
  }
}

/** What egress policies of others say about packets to the pod, by identity. */
export function compileEgressOfPeers(profiles: ProfileTable, pod: SubjectView): Map<number, VerdictList> {
  const lists = new Map<number, VerdictList>()
  for (const profile of profiles.all()) {
    const list = profile.listFor(pod)
    if (list !== undefined) for (const id of profile.ids) lists.set(id, list)
  }
  return lists
}

/** Signatures of the identities that some rule means: work for each match, not for each identity and rule. */
function signIdentities(program: Program, identities: IdentityTable): Map<number, string> {
  const signatures = new Map<number, string>()
  for (const [i, { rule }] of program.rules.entries()) {
    if (isAboutEverything(rule)) continue
    const peers = rule.peers.flatMap((peer) => (peer.kind === 'pods' ? [identities.matches(peer)] : []))
    const yes = peers.length === 1 ? peers[0]!.yes : new Set(peers.flatMap((matches) => [...matches.yes]))
    for (const id of yes) signatures.set(id, (signatures.get(id) ?? '') + signRule(i, 'yes'))
    const maybe = new Set(peers.flatMap((matches) => [...matches.maybe]))
    for (const id of maybe) if (!yes.has(id)) signatures.set(id, (signatures.get(id) ?? '') + signRule(i, 'maybe'))
  }
  return signatures
}

/** Blocks and what is excepted from them: within one, and outside of those in it, all addresses are alike. */
function blocksOf(program: Program): Block[] {
  const blocks = new Map<string, Block>()
  for (const { rule } of program.rules) {
    for (const peer of rule.peers) {
      if (peer.kind === 'block') for (const block of [peer.block, ...peer.except]) blocks.set(formatBlock(block), block)
    }
  }
  return [...blocks.values()]
}

/** Leaves out blocks that say what the shorter one around them says. Of equal blocks the last one counts. `base`: what holds outside of all. */
function pruneBlocks(blocks: readonly { block: Block; list: VerdictList }[], base: VerdictList): CidrVerdicts[] {
  const kept = new Map<string, VerdictList>()
  const around = ({ first, prefix }: Block): VerdictList => {
    for (let shorter = prefix - 1; shorter >= 0; shorter--) {
      const list = kept.get(formatBlock({ first: maskAddress(first, shorter), prefix: shorter }))
      if (list !== undefined) return list
    }
    return base
  }
  const unique = new Map(blocks.map((entry) => [formatBlock(entry.block), entry]))
  for (const { block, list } of [...unique.values()].sort((a, b) => a.block.prefix - b.block.prefix)) {
    if (!isSameList(list, around(block))) kept.set(formatBlock(block), list)
  }
  return [...kept].map(([cidr, list]) => ({ cidr, list }))
}
