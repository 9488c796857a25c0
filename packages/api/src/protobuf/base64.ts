/** Base64 in a browser and in Node alike: Node's own routines are an order of magnitude faster, so they are used where they are. */
const buffers = globalThis.Buffer as typeof Buffer | undefined

/** Bytes of standard base64 text. Like Go's decoder it ignores line breaks; other text outside the alphabet is undefined here. */
export function fromBase64(text: string): Uint8Array {
  if (buffers !== undefined) return buffers.from(text, 'base64')
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

export function toBase64(bytes: Uint8Array): string {
  if (buffers !== undefined) return buffers.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
}
