/**
 * Shares a call among all who wait for it: who comes while one is under way gets the next one, which starts after it came. So each
 * sees a state that is not older than its request, and there is never more than one call under way.
 */
export class SingleFlight<T> {
  readonly #call: () => Promise<T>
  #current: Promise<T> | undefined
  #next: Promise<T> | undefined

  constructor(call: () => Promise<T>) {
    this.#call = call
  }

  run(): Promise<T> {
    if (this.#current === undefined) return this.#start()
    this.#next ??= this.#current.then(
      () => this.#startNext(),
      () => this.#startNext(),
    )
    return this.#next
  }

  #startNext(): Promise<T> {
    this.#next = undefined
    return this.#start()
  }

  #start(): Promise<T> {
    const current = this.#call().finally(() => {
      if (this.#current === current) this.#current = undefined
    })
    this.#current = current
    return current
  }
}
