import { parseTime } from '../meta/time.ts'

/** Longer values are not tested: they match no format. */
const FORMAT_TEXT_MAX = 64 * 1024

const HOSTNAME =
  /^(?=.{1,255}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$/
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
const MAC = /^(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i
const DURATION = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/
const WORDY_DURATION = /^\d+\s*(?:ns|us|ms|s|m|h|d|w|nanosecond|microsecond|millisecond|second|minute|hour|day|week)s?$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const EMAIL = /^[^\s@<>]+@[^\s@<>]+$/

/** Formats that are checked; a schema may name others, which mean nothing. Source: apiextensions pkg/apiserver/validation/formats.go. */
const CHECKS: ReadonlyMap<string, (text: string) => boolean> = new Map<string, (text: string) => boolean>([
  ['date', (text) => /^\d{4}-\d\d-\d\d$/.test(text) && parseTime(`${text}T00:00:00Z`) !== undefined],
  ['date-time', (text) => parseTime(text) !== undefined],
  ['datetime', (text) => parseTime(text) !== undefined],
  ['duration', (text) => DURATION.test(text) || WORDY_DURATION.test(text)],
  ['hostname', (text) => HOSTNAME.test(text)],
  ['email', (text) => EMAIL.test(text)],
  ['uri', isUri],
  ['ipv4', isIPv4],
  ['ipv6', (text) => isIPv6(text)],
  ['cidr', isCidr],
  ['mac', (text) => MAC.test(text)],
  ['uuid', (text) => UUID.test(text)],
  ['uuid3', (text) => UUID.test(text)],
  ['uuid4', (text) => UUID.test(text)],
  ['uuid5', (text) => UUID.test(text)],
  ['byte', (text) => BASE64.test(text)],
  ['hexcolor', (text) => /^#?(?:[0-9a-f]{3}|[0-9a-f]{6})$/i.test(text)],
  ['isbn', (text) => /^(?:\d[- ]?){9}[\dXx]$|^(?:\d[- ]?){13}$/.test(text)],
  ['k8s-short-name', (text) => text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)],
  [
    'k8s-long-name',
    (text) => text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text),
  ],
])

/** True when `text` has the format, or when nothing is known of it. */
export function matchesFormat(text: string, format: string): boolean {
  const check = CHECKS.get(format)
  return check === undefined || (text.length <= FORMAT_TEXT_MAX && check(text))
}

function isUri(text: string): boolean {
  return URL.canParse(text) || text.startsWith('/')
}

export function isIPv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
}

export function isIPv6(text: string): boolean {
  return text.includes(':') && !text.includes('[') && URL.canParse(`http://[${text}]/`)
}

export function isCidr(text: string): boolean {
  const slash = text.lastIndexOf('/')
  const address = text.slice(0, slash)
  const bits = text.slice(slash + 1)
  if (slash < 0 || !/^(?:0|[1-9]\d{0,2})$/.test(bits)) return false
  return (isIPv4(address) && Number(bits) <= 32) || (isIPv6(address) && Number(bits) <= 128)
}
