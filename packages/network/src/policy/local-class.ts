import {
  compileEgress,
  compileEgressOfPeers,
  compileIngress,
  compileIngressPeer,
  type IngressPart,
  type OutsideView,
  type SubjectView,
} from './compile-set.ts'
import { FIRST_IDENTITY, type IdentityTable } from './identity-table.ts'
import type { VerdictList } from './policy-set.ts'
import type { PolicyTable } from './policy-table.ts'
import type { Profile, ProfileTable } from './profile-table.ts'
import { changePeers, isSameEgress, isSameIngress, type LiveSet, type SetContent, type SetPeers } from './set-table.ts'
import { isSameList, OPEN_LIST } from './verdict-list.ts'

/** What compiling a class of pods needs to know of the rest. */
export interface ClassContext {
  readonly policies: PolicyTable
  readonly identities: IdentityTable
  readonly profiles: ProfileTable
  readonly outside: OutsideView
  /** Identities that came, and those that other egress policies select now, since last time. */
  readonly newPeers: ReadonlySet<number>
  readonly changedPeers: ReadonlySet<number>
}

/** What happens to the set of a class: peers are changed in place, anything else makes another set. */
export type ClassChange =
  | { readonly kind: 'peers'; readonly peers: SetPeers }
  | { readonly kind: 'replaced'; readonly content: SetContent }

/** Pods of this host between which no policy distinguishes. */
export class LocalClass {
  readonly key: string
  /** One of its pods, as far as policies see. */
  view: SubjectView
  readonly pods = new Set<string>()
  /** Parts that have to be compiled again. `peers`: the egress of peers. */
  readonly dirty = { ingress: true, egress: true, peers: true }
  live: LiveSet<LocalClass> | undefined
  #ingress: IngressPart | undefined

  constructor(key: string, view: SubjectView) {
    this.key = key
    this.view = view
  }

  markAll(): void {
    this.dirty.ingress = this.dirty.egress = this.dirty.peers = true
  }

  /** Texts of the peers that its ingress rules mean. */
  get podPeers(): readonly string[] {
    return this.#ingress?.podPeers ?? []
  }

  /** Compiles what is dirty and what the peers' changes ask for. */
  update(context: ClassContext): ClassChange {
    const dirty = { ...this.dirty }
    this.dirty.ingress = this.dirty.egress = this.dirty.peers = false
    const old = this.live?.content
    const { policies, identities, outside } = context
    const ingress = old === undefined || dirty.ingress ? this.#compileIngress(context) : old.ingress
    const egress =
      old === undefined || dirty.egress ? compileEgress(policies.select(this.view, 'egress'), outside) : old.egress
    if (old === undefined) {
      return {
        kind: 'replaced',
        content: { ingress, egress, egressOfPeers: compileEgressOfPeers(context.profiles, this.view) },
      }
    }
    const peers = this.#compilePeers(old, context, dirty.peers)
    if (isSameIngress(old.ingress, ingress) && isSameEgress(old.egress, egress)) return { kind: 'peers', peers }
    const exists = ([id]: [number, unknown]): boolean => id < FIRST_IDENTITY || identities.get(id) !== undefined
    const content = {
      ingress: dirty.ingress ? ingress : { ...ingress, byIdentity: new Map([...ingress.byIdentity].filter(exists)) },
      egress,
      egressOfPeers: new Map([...old.egressOfPeers].filter(exists)),
    }
    changePeers(content, peers)
    return { kind: 'replaced', content }
  }

  #compileIngress({ policies, identities }: ClassContext): SetContent['ingress'] {
    const part = compileIngress(policies.select(this.view, 'ingress'), this.view, identities)
    this.#ingress = part
    return { byIdentity: part.byIdentity, others: part.others, cidrs: part.cidrs }
  }

  /** New peers, and those of which something else is said now; what is allowed again is said so. */
  #compilePeers(old: SetContent, context: ClassContext, isFull: boolean): SetPeers {
    const { identities, profiles, newPeers, changedPeers } = context
    const peers: SetPeers = { ingress: new Map<number, VerdictList>(), egressOfPeers: new Map<number, VerdictList>() }
    for (const id of newPeers) {
      const list = compileIngressPeer(this.#ingress!, identities.get(id)!)
      if (list !== undefined) peers.ingress.set(id, list)
    }
    const lists = new Map<Profile | undefined, VerdictList>()
    const listOf = (id: number): VerdictList => {
      const profile = profiles.of(id)
      let list = lists.get(profile)
      if (list === undefined) lists.set(profile, (list = profile?.listFor(this.view) ?? OPEN_LIST))
      return list
    }
    for (const id of isFull ? identities.ids() : [...newPeers, ...changedPeers]) {
      const list = listOf(id)
      if (!isSameList(list, old.egressOfPeers.get(id) ?? OPEN_LIST)) peers.egressOfPeers.set(id, list)
    }
    return peers
  }
}
