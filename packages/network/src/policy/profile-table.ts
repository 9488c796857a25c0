import type { Selection } from './program.ts'

/** Identities for which the same egress policies are. */
export interface Profile {
  readonly selection: Selection
  readonly ids: Set<number>
}

/** Which egress policies are for whom. An identity for which none is has no profile. */
export class ProfileTable {
  readonly #profiles = new Map<string, Profile>()
  readonly #byIdentity = new Map<number, Profile>()
  readonly #dead = new Set<string>()

  /** Whether another selection is the identity's now. Undefined: it is gone. */
  set(id: number, selection: Selection | undefined): boolean {
    const before = this.#byIdentity.get(id)
    const key = selection?.key ?? ''
    if ((before?.selection.key ?? '') === key) return false
    if (before !== undefined) {
      before.ids.delete(id)
      if (before.ids.size === 0) {
        this.#profiles.delete(before.selection.key)
        this.#dead.add(before.selection.key)
      }
    }
    if (selection === undefined || key === '') {
      this.#byIdentity.delete(id)
      return true
    }
    let profile = this.#profiles.get(key)
    if (profile === undefined) this.#profiles.set(key, (profile = { selection, ids: new Set<number>() }))
    profile.ids.add(id)
    this.#byIdentity.set(id, profile)
    this.#dead.delete(key)
    return true
  }

  of(id: number): Profile | undefined {
    return this.#byIdentity.get(id)
  }

  all(): Iterable<Profile> {
    return this.#profiles.values()
  }

  /** Keys of profiles that ended since last time. */
  takeDead(): string[] {
    const dead = [...this.#dead]
    this.#dead.clear()
    return dead
  }
}
