import type { ServiceBackendRecord } from '../layouts/services.ts'

export interface BackendPlace {
  readonly index: number
  readonly generation: number
}

/**
 * Gives out places in the array of backends. A place that is given back can be given out again only after {@link BackendPlaces.settle}, and with a generation
 * that no place ever had, so that flows know that theirs is gone.
 */
export class BackendPlaces {
  readonly #limit: number
  readonly #free: number[] = []
  #returned: number[] = []
  /** No place from here on was ever given out. */
  #fresh = 0
  #generation = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Goes on with an array that another process filled; `found` are all records that are not zero. */
  static recover(limit: number, found: readonly { index: number; value: ServiceBackendRecord }[]): BackendPlaces {
    const places = new BackendPlaces(limit)
    const used = new Set(found.filter(({ value }) => value.flags !== 0).map(({ index }) => index))
    for (const { index, value } of found) {
      places.#fresh = Math.max(places.#fresh, index + 1)
      places.#generation = Math.max(places.#generation, value.generation)
    }
    for (let index = 0; index < places.#fresh; index++) if (!used.has(index)) places.#free.push(index)
    return places
  }

  /** Undefined: none is free. */
  allocate(): BackendPlace | undefined {
    const index = this.#free.pop() ?? (this.#fresh < this.#limit ? this.#fresh++ : undefined)
    if (index === undefined) return undefined
    return { index, generation: ++this.#generation }
  }

  release(index: number): void {
    this.#returned.push(index)
  }

  settle(): void {
    this.#free.push(...this.#returned)
    this.#returned = []
  }
}
