import { isIPv4 } from 'node:net'

/** Whether packets can be sent to it as one host: not loopback, multicast, broadcast or "this network". */
export function isBackendAddress(address: string): boolean {
  if (!isIPv4(address)) return false
  const first = Number(address.slice(0, address.indexOf('.')))
  return first !== 0 && first !== 127 && first < 224
}

/** The block with its host bits zero, such as `10.0.0.0/8`; undefined: not an IPv4 block. */
export function normalizeIPv4Block(text: string): string | undefined {
  const [address = '', length = '', ...rest] = text.trim().split('/')
  if (rest.length > 0 || !isIPv4(address) || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined
  const bits = Number(length)
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - bits)
  const base = Math.floor(value / size) * size
  return `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.')}/${bits}`
}
