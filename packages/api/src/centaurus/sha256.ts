/** First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const ROUND_CONSTANTS = fractions(64, Math.cbrt)
/** The same of the square roots of the first 8 primes. */
const INITIAL = fractions(8, Math.sqrt)

/**
 * SHA-256 of the text's UTF-8 bytes, as eight 32-bit words. Here since names must be made alike in a browser, where the platform's own is
 * asynchronous. For short texts. Source: FIPS 180-4 section 6.2.
 */
export function sha256(text: string): Uint32Array {
  const hash = Uint32Array.from(INITIAL)
  const blocks = pad(new TextEncoder().encode(text))
  const schedule = new Uint32Array(64)
  for (let at = 0; at < blocks.length; at += 16) {
    schedule.set(blocks.subarray(at, at + 16))
    for (let i = 16; i < 64; i++) {
      const a = schedule[i - 15]!
      const b = schedule[i - 2]!
      const low = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)
      const high = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10)
      schedule[i] = schedule[i - 16]! + low + schedule[i - 7]! + high
    }
    compress(hash, schedule)
  }
  return hash
}

function compress(hash: Uint32Array, schedule: Uint32Array): void {
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i++) {
    const high = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const first = (h + high + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i]! + schedule[i]!) >>> 0
    const low = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const second = (low + ((a & b) ^ (a & c) ^ (b & c))) >>> 0
    h = g
    g = f
    f = e
    e = (d + first) >>> 0
    d = c
    c = b
    b = a
    a = (first + second) >>> 0
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) hash[i] = hash[i]! + word
}

/** The message, a one bit, zeros, and its length in bits, as big-endian words. */
function pad(bytes: Uint8Array): Uint32Array {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 4, bytes.length * 8)
  return Uint32Array.from({ length: padded.length / 4 }, (_, i) => view.getUint32(i * 4))
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits))
}

function fractions(count: number, root: (prime: number) => number): Uint32Array {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n)
  return Uint32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32)
}
