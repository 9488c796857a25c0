/** Source: apiserver pkg/endpoints/filters/warning.go: an answer has so much room for warnings. */
const TOTAL_CHARACTERS_MAX = 4 * 1024
const ITEM_CHARACTERS_MAX = 256

/** Warnings of one answer: each text once, and not more than an answer has room for. */
export class Warnings {
  readonly #warn: (text: string) => void
  readonly #seen = new Set<string>()
  #charactersLeft = TOTAL_CHARACTERS_MAX

  constructor(warn: (text: string) => void) {
    this.#warn = warn
  }

  /** A text that is too long for what is left is cut; when nothing is left it is dropped. */
  add(text: string): void {
    if (text === '' || this.#seen.has(text)) return
    this.#seen.add(text)
    const cut =
      text.length <= this.#charactersLeft ? text : text.slice(0, Math.min(ITEM_CHARACTERS_MAX, this.#charactersLeft))
    if (cut === '') return
    this.#charactersLeft -= cut.length
    this.#warn(cut)
  }
}
