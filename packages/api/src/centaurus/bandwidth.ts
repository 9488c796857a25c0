import { parseQuantity } from '../quantity/quantity.ts'

/** Bits a second. Source: minRsrc and maxRsrc of Kubernetes' pkg/util/bandwidth/utils.go, v1.37. */
const BANDWIDTH_MIN = 1e3
const BANDWIDTH_MAX = 1e15
const BITS = 'a quantity of bits a second from 1k to 1P, such as "10M" for ten million'
const BYTES = 'a number of bytes a second from 125 to 125000G, such as "10M" for ten million'
const BYTES_SHAPE = /^([0-9]+(?:\.[0-9]+)?)([KMG]?)$/
const FACTORS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9 }

/** What is wrong with a value, and what is allowed, to follow "Invalid value: …:". */
export interface Complaint {
  readonly detail: string
}

/** Bits a second of a quantity, rounded up; undefined of nothing. */
export function parseBandwidth(text: string | undefined): number | Complaint | undefined {
  if (text === undefined) return undefined
  try {
    const bits = parseQuantity(text).value
    if (bits < BANDWIDTH_MIN && text.endsWith('m')) return { detail: `"m" means a thousandth: must be ${BITS}` }
    return withinBounds(bits, BITS)
  } catch {
    return { detail: `must be ${BITS}` }
  }
}

/** Bits a second of a number of bytes, as Mizar has it: K, M and G are powers of 1,000, and 0 says nothing. */
export function parseByteBandwidth(text: string): number | Complaint | undefined {
  const [, digits, suffix = ''] = BYTES_SHAPE.exec(text) ?? []
  if (digits === undefined) return { detail: `must be ${BYTES}; K, M and G are allowed, and powers of 1,000` }
  const bytes = Number(digits) * FACTORS[suffix]!
  return bytes === 0 ? undefined : withinBounds(Math.ceil(bytes * 8), BYTES)
}

function withinBounds(bits: number, allowed: string): number | Complaint {
  if (bits < BANDWIDTH_MIN) return { detail: `is less than 1,000 bits a second: must be ${allowed}` }
  if (bits > BANDWIDTH_MAX) return { detail: `is more than 10^15 bits a second: must be ${allowed}` }
  return bits
}
