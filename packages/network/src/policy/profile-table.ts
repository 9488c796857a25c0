import type { SubjectView } from './compile-set.ts'
import type { VerdictList } from './policy-set.ts'
import { Program, type Selection } from './program.ts'
import { allowsAll } from './verdict-list.ts'

/** Identities for which the same egress policies are. */
export class Profile {
  readonly selection: Selection
  readonly ids = new Set<number>()
  /** By the ports that its rules know by name: for most there is one. */
  readonly #programs = new Map<string, Program>()
  readonly #portNames: ReadonlySet<string>

  constructor(selection: Selection) {
    this.selection = selection
    const { admin, policies, baseline } = selection
    const rules = [...admin, ...policies, ...baseline].flatMap((selected) => selected.rules.rules)
    const ports = rules.flatMap((rule) => rule.ports ?? [])
    this.#portNames = new Set(ports.flatMap((port) => ('name' in port ? [port.name] : [])))
  }

  /** What the policies say about packets to the pod; undefined when they allow everything. */
  listFor(pod: SubjectView): VerdictList | undefined {
    const list = this.#programFor(pod).listForTarget({ pod, block: pod.address })
    return allowsAll(list) ? undefined : list
  }

  #programFor({ namedPorts }: SubjectView): Program {
    const relevant = this.#portNames.size === 0 ? [] : namedPorts.filter(({ name }) => this.#portNames.has(name))
    const key = relevant.map(({ name, protocol, port }) => `${name}/${protocol}/${port}`).join()
    let program = this.#programs.get(key)
    if (program === undefined) {
      program = new Program(this.selection, { namedPorts: relevant, doubt: 'closed' })
      this.#programs.set(key, program)
    }
    return program
  }
}

/** Which egress policies are for whom. An identity for which none is has no profile. */
export class ProfileTable {
  readonly #profiles = new Map<string, Profile>()
  readonly #byIdentity = new Map<number, Profile>()

  /** Whether another selection is the identity's now. Undefined: it is gone. */
  set(id: number, selection: Selection | undefined): boolean {
    const before = this.#byIdentity.get(id)
    const key = selection?.key ?? ''
    if ((before?.selection.key ?? '') === key) return false
    if (before !== undefined) {
      before.ids.delete(id)
      if (before.ids.size === 0) this.#profiles.delete(before.selection.key)
    }
    if (selection === undefined || key === '') {
      this.#byIdentity.delete(id)
      return true
    }
    let profile = this.#profiles.get(key)
    if (profile === undefined) this.#profiles.set(key, (profile = new Profile(selection)))
    profile.ids.add(id)
    this.#byIdentity.set(id, profile)
    return true
  }

  of(id: number): Profile | undefined {
    return this.#byIdentity.get(id)
  }

  all(): Iterable<Profile> {
    return this.#profiles.values()
  }
}
