/** Why a node will not do. Words of kube-scheduler v1.37 (framework/plugins/*), since people search for them. */
export interface Refusal {
  readonly reasons: readonly string[]
  /** True when removing pods from the node could not help, so preemption need not look at it. */
  readonly unresolvable: boolean
  /** Decided by what the node is, before its volumes and its use are looked at. */
  readonly isStatic: boolean
}

/** The number of "it fits". */
export const FITS = 0

/** Numbers what nodes are refused for, so that a verdict on a node is a number. There are few: one for each set of resources that are short. */
export class Refusals {
  readonly #all: (Refusal | undefined)[] = [undefined]
  readonly #numbers = new Map<string, number>()
  /** The same, of objects that were asked about before. */
  readonly #seen = new WeakMap<Refusal, number>()

  get(number: number): Refusal {
    return this.#all[number]!
  }

  numberOf(refusal: Refusal): number {
    const known = this.#seen.get(refusal)
    if (known !== undefined) return known
    const key = JSON.stringify(refusal)
    let number = this.#numbers.get(key)
    if (number === undefined) {
      number = this.#all.push(refusal) - 1
      this.#numbers.set(key, number)
    }
    this.#seen.set(refusal, number)
    return number
  }
}

/** A refusal that no removal of pods can change. */
export function unresolvable(reason: string): Refusal {
  return { reasons: [reason], unresolvable: true, isStatic: false }
}

/** A refusal that other pods are to blame for. */
export function resolvable(reason: string): Refusal {
  return { reasons: [reason], unresolvable: false, isStatic: false }
}

/** A refusal for what the node is. */
export function byNature(reason: string): Refusal {
  return { reasons: [reason], unresolvable: true, isStatic: true }
}
