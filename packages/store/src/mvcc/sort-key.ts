const CODE_UNITS_OUT_OF_ORDER = /[\ud800-\uffff]/
const SURROGATE_FIRST = 0xd800
const AFTER_SURROGATES = 0xe000

/**
 * A text whose native (UTF-16) order is the order of `key`'s UTF-8 bytes, and which keeps prefixes. Nearly always `key` itself.
 * UTF-16 puts surrogates (characters beyond U+FFFF) before U+E000–U+FFFF, UTF-8 after: this swaps the two blocks.
 * Source: "code point order fix-up", Unicode Technical Note #12.
 */
export function toSortKey(key: string): string {
  return CODE_UNITS_OUT_OF_ORDER.test(key) ? fixUp(key) : key
}

/** Throws `TypeError` unless `key` is non-empty text that UTF-8 can hold (no lone surrogate). */
export function checkKey(key: string): void {
  if (key === '') throw new TypeError('Cannot use an empty key: a key must hold at least one character')
  checkText(key)
}

/** Throws `TypeError` unless UTF-8 can hold `text` (no lone surrogate). A prefix may be empty. */
export function checkText(text: string): void {
  if (!text.isWellFormed()) {
    throw new TypeError(`Cannot use key ${JSON.stringify(text)}: it must be well-formed text`)
  }
}

function fixUp(key: string): string {
  const units: number[] = []
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i)
    if (unit < SURROGATE_FIRST) units.push(unit)
    else units.push(unit < AFTER_SURROGATES ? unit + 0x2000 : unit - 0x800)
  }
  return units.map((unit) => String.fromCharCode(unit)).join('')
}
