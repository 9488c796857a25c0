import { invalid, type FieldError, type FieldPath } from '../../status/field-error.ts'

/** Version 4 or 6 of the Internet Protocol. */
export type IpFamily = 'IPv4' | 'IPv6'

/** Address as a number, with its canonical text. */
export interface ParsedIp {
  readonly family: IpFamily
  readonly bits: bigint
  readonly text: string
  /** IPv4 parts were written with leading zeros, which some programs read as octal. */
  readonly leadingZeros: boolean
  /** An IPv4 address in the clothes of IPv6, such as `::ffff:1.2.3.4`. */
  readonly mapped: boolean
}

const IPV4_BITS = 32
const IPV6_BITS = 128
const MAPPED_PREFIX = 0xffffn << 32n

/** Reads an address of either family; undefined when the text is none. Zones are refused. */
export function parseIp(text: string): ParsedIp | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

/** Address that must be fit for a field of today: canonical, no leading zeros. Source: IsValidIP, apimachinery v0.37. */
export function checkIp(text: string, path: FieldPath): FieldError[] {
  const errors = checkIpStrict(text, path)
  const ip = parseIp(text)
  if (errors.length > 0 || ip === undefined || ip.text === text) return errors
  return [invalid(path, text, `must be in canonical form (${JSON.stringify(ip.text)})`)]
}

/** Address of an older field, where other spellings are fine. Source: IsValidIPForLegacyField with StrictIPCIDRValidation. */
export function checkIpStrict(text: string, path: FieldPath): FieldError[] {
  const ip = parseIp(text)
  if (ip === undefined) return [invalid(path, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')]
  if (ip.leadingZeros) return [invalid(path, text, 'must not have leading 0s')]
  return ip.mapped ? [invalid(path, text, 'must not be an IPv4-mapped IPv6 address')] : []
}

/** Address that others can send to. Source: ValidateEndpointIP, pkg/apis/core/validation v1.37. */
export function checkEndpointIp(text: string, path: FieldPath): FieldError[] {
  const ip = parseIp(text)
  if (ip === undefined) return [invalid(path, text, 'must be a valid IP address')]
  const errors: FieldError[] = []
  if (ip.bits === 0n) errors.push(invalid(path, text, `may not be unspecified (${text})`))
  for (const { cidrs, detail } of RESERVED) {
    const isInside = cidrs.some(
      (cidr) => cidr.ip.family === ip.family && networkBits({ ip, prefix: cidr.prefix }) === networkBits(cidr),
    )
    if (isInside) errors.push(invalid(path, text, detail))
  }
  return errors
}

/** Network with its prefix length. */
export interface ParsedCidr {
  readonly ip: ParsedIp
  readonly prefix: number
}

export function parseCidr(text: string): ParsedCidr | undefined {
  const slash = text.lastIndexOf('/')
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash))
  const prefixText = text.slice(slash + 1)
  if (ip === undefined || !/^\d{1,3}$/.test(prefixText)) return undefined
  const prefix = Number(prefixText)
  return prefix > widthOf(ip.family) ? undefined : { ip, prefix }
}

/** Source: IsValidCIDRForLegacyField with StrictIPCIDRValidation, apimachinery v0.37. */
export function checkCidr(text: string, path: FieldPath): FieldError[] {
  const cidr = parseCidr(text)
  if (cidr === undefined) {
    return [invalid(path, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')]
  }
  if (cidr.ip.leadingZeros || /\/0\d/.test(text)) {
    return [invalid(path, text, 'must not have leading 0s in IP or prefix length')]
  }
  if (cidr.ip.mapped) return [invalid(path, text, 'must not have an IPv4-mapped IPv6 address')]
  if (networkBits(cidr) !== cidr.ip.bits)
    return [invalid(path, text, 'must not have bits set beyond the prefix length')]
  return []
}

/** Whether `inner` is a part of `outer`, and smaller. */
export function isStrictSubnet(inner: ParsedCidr, outer: ParsedCidr): boolean {
  if (inner.ip.family !== outer.ip.family || inner.prefix <= outer.prefix) return false
  return networkBits({ ip: inner.ip, prefix: outer.prefix }) === networkBits(outer)
}

const RESERVED: readonly { readonly cidrs: readonly ParsedCidr[]; readonly detail: string }[] = [
  reserve(['127.0.0.0/8', '::1/128'], 'loopback range'),
  reserve(['169.254.0.0/16', 'fe80::/10'], 'link-local range'),
  reserve(['224.0.0.0/24', 'ff02::/10'], 'link-local multicast range'),
]

function reserve(texts: readonly string[], name: string): { cidrs: readonly ParsedCidr[]; detail: string } {
  return { cidrs: texts.map((text) => parseCidr(text)!), detail: `may not be in the ${name} (${texts.join(', ')})` }
}

function networkBits({ ip, prefix }: ParsedCidr): bigint {
  const host = BigInt(widthOf(ip.family) - prefix)
  return (ip.bits >> host) << host
}

function widthOf(family: IpFamily): number {
  return family === 'IPv4' ? IPV4_BITS : IPV6_BITS
}

function parseIpv4(text: string): ParsedIp | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const parts = match.slice(1).map(Number)
  if (parts.some((part) => part > 255)) return undefined
  const bits = parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
  const canonical = parts.join('.')
  return { family: 'IPv4', bits, text: canonical, leadingZeros: canonical !== text, mapped: false }
}

function parseIpv6(text: string): ParsedIp | undefined {
  let canonical: string
  try {
    // The URL standard writes addresses as RFC 5952 does, and refuses all that is no address.
    canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1)
  } catch {
    return undefined
  }
  const [head = '', tail] = canonical.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length
  const groups = [...front, ...Array.from({ length: zeros }, () => '0'), ...back]
  const bits = groups.reduce((sum, group) => (sum << 16n) | BigInt(Number.parseInt(group, 16)), 0n)
  return { family: 'IPv6', bits, text: canonical, leadingZeros: false, mapped: bits >> 32n === MAPPED_PREFIX >> 32n }
}
