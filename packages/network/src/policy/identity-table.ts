import { isDeepStrictEqual } from 'node:util'
import { isPodMeant, type NamespaceView, type PodView } from './peer-truth.ts'
import type { KnownLabels } from './pod-selector.ts'
import type { PodsPeer } from './policy-rule.ts'

/** Of a `NetworkIdentity`'s spec what the compiler reads. */
export interface IdentitySpec {
  readonly id: number
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  /** Label keys that it knows of. */
  readonly keys: readonly string[]
}

/** A node: its own host's pods accept it always, for others it is an address. */
export const HOST_IDENTITY = 1
/** What comes from outside of the network. */
export const WORLD_IDENTITY = 2
/** The cluster's DNS, which policies know by the labels that it has everywhere. */
export const DNS_IDENTITY = 3
/** Identities of pods; lower ones are the same everywhere. */
export const FIRST_IDENTITY = 256

const DNS_NAMESPACE = 'kube-system'
const DNS_LABELS = { 'k8s-app': 'kube-dns' }
/** Label that the API server gives each namespace, so it is known even of one that we have not seen. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

export interface PeerMatches {
  readonly yes: Set<number>
  readonly maybe: Set<number>
}

/** Who is in a network, and whom each selector means. */
export class IdentityTable {
  readonly #namespaces = new Map<string, NamespaceView>()
  readonly #identities = new Map<number, PodView>()
  readonly #byNamespace = new Map<string, Set<number>>()
  readonly #matches = new Map<string, { readonly peer: PodsPeer; readonly matches: PeerMatches }>()

  constructor() {
    this.#insert(DNS_IDENTITY, { namespace: this.namespace(DNS_NAMESPACE), labels: DNS_LABELS })
  }

  /** The namespace's view; of one that is not known only its name is. */
  namespace(name: string): NamespaceView {
    let view = this.#namespaces.get(name)
    if (view === undefined) this.#namespaces.set(name, (view = { name, known: unknownNamespace(name) }))
    return view
  }

  /** Undefined labels: it is gone. Returns the peers that now mean others; undefined when nothing changed. */
  setNamespace(name: string, labels: Readonly<Record<string, string>> | undefined): Set<string> | undefined {
    const view = this.namespace(name)
    const before = view.known
    if (isDeepStrictEqual(before.keys === undefined ? before.labels : undefined, labels)) return undefined
    view.known = labels === undefined ? unknownNamespace(name) : { labels }
    const changed = new Set<string>()
    if (!this.#byNamespace.has(name)) {
      if (labels === undefined) this.#namespaces.delete(name)
      return changed
    }
    for (const [text, { peer }] of this.#matches) {
      if (peer.namespace !== undefined || peer.namespaces.isEmpty) continue
      if (peer.namespaces.test(before) !== peer.namespaces.test(view.known)) changed.add(text)
    }
    for (const text of changed) this.#matches.delete(text)
    return changed
  }

  add(spec: IdentitySpec): void {
    const keys = new Set(spec.keys)
    this.#insert(spec.id, { namespace: this.namespace(spec.namespace), labels: spec.labels, keys })
  }

  remove(id: number): void {
    const view = this.#identities.get(id)
    if (view === undefined) return
    this.#identities.delete(id)
    const own = this.#byNamespace.get(view.namespace.name)
    own?.delete(id)
    if (own?.size === 0) this.#byNamespace.delete(view.namespace.name)
    if (own?.size === 0 && view.namespace.known.keys !== undefined) this.#namespaces.delete(view.namespace.name)
    for (const { matches } of this.#matches.values()) {
      matches.yes.delete(id)
      matches.maybe.delete(id)
    }
  }

  get(id: number): PodView | undefined {
    return this.#identities.get(id)
  }

  get dns(): PodView {
    return this.#identities.get(DNS_IDENTITY)!
  }

  /** Of pods; the reserved ones are not counted. */
  get size(): number {
    return this.#identities.size - 1
  }

  ids(): IterableIterator<number> {
    return this.#identities.keys()
  }

  inNamespace(name: string): ReadonlySet<number> {
    return this.#byNamespace.get(name) ?? NOBODY
  }

  /** Whom a peer means; found out once, then kept up to date. Callers must not change it. */
  matches(peer: PodsPeer): PeerMatches {
    let entry = this.#matches.get(peer.text)
    if (entry === undefined) {
      entry = { peer, matches: { yes: new Set<number>(), maybe: new Set<number>() } }
      for (const [name, ids] of this.#byNamespace) {
        if (peer.namespace !== undefined && peer.namespace !== name) continue
        if (peer.namespace === undefined && peer.namespaces.test(this.namespace(name).known) === 'no') continue
        for (const id of ids) note(entry, id, this.#identities.get(id)!)
      }
      this.#matches.set(peer.text, entry)
    }
    return entry.matches
  }

  /** Forgets whom peers mean that nobody asks about any more. */
  keepMatches(texts: ReadonlySet<string>): void {
    for (const text of this.#matches.keys()) if (!texts.has(text)) this.#matches.delete(text)
  }

  #insert(id: number, view: PodView): void {
    this.#identities.set(id, view)
    const name = view.namespace.name
    const own = this.#byNamespace.get(name)
    if (own === undefined) this.#byNamespace.set(name, new Set([id]))
    else own.add(id)
    for (const entry of this.#matches.values()) note(entry, id, view)
  }
}

const NOBODY: ReadonlySet<number> = new Set()

function note({ peer, matches }: { peer: PodsPeer; matches: PeerMatches }, id: number, view: PodView): void {
  const truth = isPodMeant(peer, view)
  if (truth !== 'no') matches[truth].add(id)
}

function unknownNamespace(name: string): KnownLabels {
  return { labels: { [NAME_LABEL]: name }, keys: new Set([NAME_LABEL]) }
}
