import { decodeText, encodeText } from '@centaurus/base'

/** What the value of a commit slot says about its modRevision. */
export type SlotMark =
  /** A commit was made there. */
  | { readonly type: 'commit' }
  /** A commit was kept from happening; the newest one under this slot before is given (0: none). */
  | { readonly type: 'fence'; readonly committedRevision: number }

const COMMIT = encodeText('c')
const FENCE = 'f'

export function encodeMark(mark: SlotMark): Uint8Array {
  return mark.type === 'commit' ? COMMIT : encodeText(`${FENCE}${mark.committedRevision}`)
}

/** Inverse of {@link encodeMark}. */
export function parseMark(value: Uint8Array): SlotMark {
  const text = decodeText(value)
  return text.startsWith(FENCE)
    ? { type: 'fence', committedRevision: Number(text.slice(FENCE.length)) }
    : { type: 'commit' }
}
