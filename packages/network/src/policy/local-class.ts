import {
  compileEgress,
  compileEgressOfPeer,
  compileIngress,
  compileIngressPeer,
  type IngressPart,
  type OutsideView,
  type SubjectView,
} from './compile-set.ts'
import { FIRST_IDENTITY, type IdentityTable } from './identity-table.ts'
import type { PolicySet, PolicySetPeers, VerdictList } from './policy-set.ts'
import type { PolicyTable } from './policy-table.ts'
import type { ProfileTable } from './profile-table.ts'
import type { Selection } from './program.ts'
import type { LiveSet, SetContent } from './set-table.ts'
import { isSameList } from './verdict-list.ts'

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

export type ClassChange =
  | { readonly kind: 'none' }
  | { readonly kind: 'grown'; readonly peers: PolicySetPeers }
  | { readonly kind: 'replaced'; readonly content: SetContent }

/** Pods of this host between which no policy distinguishes. */
export class LocalClass {
  readonly key: string
  readonly view: SubjectView
  readonly pods = new Set<string>()
  /** Parts that have to be compiled again. */
  readonly dirty = { ingress: true, egress: true, peers: true }
  live: LiveSet<LocalClass> | undefined
  ingress: IngressPart | undefined
  /** By the key of a peer's selection of egress policies. */
  readonly #egressLists = new Map<string, VerdictList | undefined>()

  constructor(key: string, view: SubjectView) {
    this.key = key
    this.view = view
  }

  markAll(): void {
    this.dirty.ingress = this.dirty.egress = this.dirty.peers = true
  }

  forgetProfiles(keys: Iterable<string>): void {
    for (const key of keys) this.#egressLists.delete(key)
  }

  /** Compiles what is dirty and what the peers' changes ask for. */
  update(context: ClassContext): ClassChange {
    const old = this.live?.content
    const { ingress, egress, peers } = this.dirty
    if (peers) this.#egressLists.clear()
    const egressChanges = old === undefined || peers ? new Map<number, undefined>() : this.#compareEgress(old, context)
    if (old !== undefined && !ingress && !egress && !peers && egressChanges.size === 0) return this.#grow(context)
    if (old === undefined || ingress) this.ingress = this.#compileIngress(context)
    const content: SetContent = {
      ingress: old === undefined || ingress ? contentOf(this.ingress!) : this.#copyIngress(old, context),
      egress: old === undefined || egress ? this.#compileEgress(context) : old.egress,
      egressOfPeers: this.#compileEgressOfPeers(context),
    }
    this.dirty.ingress = this.dirty.egress = this.dirty.peers = false
    return { kind: 'replaced', content }
  }

  #compileIngress({ policies, identities }: ClassContext): IngressPart {
    return compileIngress(policies.select(this.view, 'ingress'), this.view, identities)
  }

  #compileEgress({ policies, outside }: ClassContext): PolicySet['egress'] {
    return compileEgress(policies.select(this.view, 'egress'), outside)
  }

  #compileEgressOfPeers({ profiles }: ClassContext): Map<number, VerdictList> {
    const lists = new Map<number, VerdictList>()
    for (const { selection, ids } of profiles.all()) {
      const list = this.#egressList(selection)
      if (list !== undefined) for (const id of ids) lists.set(id, list)
    }
    return lists
  }

  /** Changed peers of which something else is said now. */
  #compareEgress(old: SetContent, { changedPeers, profiles }: ClassContext): Map<number, VerdictList | undefined> {
    const changes = new Map<number, VerdictList | undefined>()
    for (const id of changedPeers) {
      const list = this.#egressListOf(id, profiles)
      if (!isSameList(list, old.egressOfPeers.get(id))) changes.set(id, list)
    }
    return changes
  }

  #copyIngress(old: SetContent, { identities, newPeers }: ClassContext): SetContent['ingress'] {
    const byIdentity = new Map(
      [...old.ingress.byIdentity].filter(([id]) => id < FIRST_IDENTITY || identities.get(id) !== undefined),
    )
    for (const id of newPeers) {
      const list = compileIngressPeer(this.ingress!, identities.get(id)!)
      if (list !== undefined) byIdentity.set(id, list)
    }
    return { ...old.ingress, byIdentity }
  }

  #grow({ identities, profiles, newPeers }: ClassContext): ClassChange {
    const peers = { ingress: new Map<number, VerdictList>(), egressOfPeers: new Map<number, VerdictList>() }
    for (const id of newPeers) {
      const ingress = compileIngressPeer(this.ingress!, identities.get(id)!)
      if (ingress !== undefined) peers.ingress.set(id, ingress)
      const egress = this.#egressListOf(id, profiles)
      if (egress !== undefined) peers.egressOfPeers.set(id, egress)
    }
    return peers.ingress.size + peers.egressOfPeers.size === 0 ? { kind: 'none' } : { kind: 'grown', peers }
  }

  #egressListOf(id: number, profiles: ProfileTable): VerdictList | undefined {
    const profile = profiles.of(id)
    return profile === undefined ? undefined : this.#egressList(profile.selection)
  }

  #egressList(selection: Selection): VerdictList | undefined {
    if (!this.#egressLists.has(selection.key)) {
      this.#egressLists.set(selection.key, compileEgressOfPeer(selection, this.view))
    }
    return this.#egressLists.get(selection.key)
  }
}

function contentOf({ byIdentity, others, cidrs }: IngressPart): SetContent['ingress'] {
  return { byIdentity, others, cidrs }
}
