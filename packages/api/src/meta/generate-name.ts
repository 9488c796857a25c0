import type { Random } from '@centaurus/base'

/** No vowels, and no digits that look like letters. Source: apimachinery pkg/util/rand. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
/** Longer bases are cut, so that the whole has at most 63 characters. Source: apiserver pkg/storage/names. */
const BASE_LENGTH_MAX = 63 - SUFFIX_LENGTH

/** `length` random characters that are safe in every kind of name. */
export function randomSuffix(random: Random, length: number = SUFFIX_LENGTH): string {
  let text = ''
  for (let i = 0; i < length; i++) text += ALPHABET[random.integer(ALPHABET.length)]!
  return text
}

/** Name for an object that has only a `generateName`. Two calls may give the same name: the store decides. */
export function generateName(base: string, random: Random): string {
  return base.slice(0, BASE_LENGTH_MAX) + randomSuffix(random)
}

/** Text that is safe in names, for a hash: upstream's SafeEncodeString (apimachinery pkg/util/rand), as pod-template-hash uses. */
export function safeEncode(text: string): string {
  let encoded = ''
  for (let i = 0; i < text.length; i++) encoded += ALPHABET[text.charCodeAt(i) % ALPHABET.length]!
  return encoded
}
