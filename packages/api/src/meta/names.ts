/**
 * Rules for names. Each `check*` function returns what is wrong, in upstream's words; an empty list means nothing.
 * Source: apimachinery pkg/api/validate/content and pkg/util/validation, v0.37.
 */

/** Checks a name; with `isPrefix` it is a `generateName`, to which a suffix will be added. */
export type NameRule = (name: string, options?: { readonly isPrefix?: boolean | undefined }) => readonly string[]

export const DNS_LABEL_BYTES_MAX = 63
export const DNS_SUBDOMAIN_BYTES_MAX = 253
export const LABEL_NAME_BYTES_MAX = 63
export const LABEL_VALUE_BYTES_MAX = 63

const DNS_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const DNS_1035_LABEL = '[a-z]([-a-z0-9]*[a-z0-9])?'
const DNS_SUBDOMAIN = `${DNS_LABEL}(\\.${DNS_LABEL})*`
const LABEL_KEY = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const LABEL_VALUE = `(${LABEL_KEY})?`

const dnsLabelPattern = new RegExp(`^${DNS_LABEL}$`)
const dns1035LabelPattern = new RegExp(`^${DNS_1035_LABEL}$`)
const dnsSubdomainPattern = new RegExp(`^${DNS_SUBDOMAIN}$`)
const labelKeyPattern = new RegExp(`^${LABEL_KEY}$`)
const labelValuePattern = new RegExp(`^${LABEL_VALUE}$`)

const NOTHING: readonly string[] = []

/** `my-name`: lower case RFC 1123 label. */
export const checkDnsLabel: NameRule = (name, options) => {
  const value = options?.isPrefix === true ? maskTrailingDash(name) : name
  const errors = value.length > DNS_LABEL_BYTES_MAX ? [maxBytes(DNS_LABEL_BYTES_MAX)] : []
  if (dnsLabelPattern.test(value)) return errors
  if (dnsSubdomainPattern.test(value)) return [...errors, 'must not contain dots']
  const rule =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', " +
    'and must start and end with an alphanumeric character'
  return [...errors, describePattern(rule, DNS_LABEL, ['my-name', '123-abc'])]
}

/** `abc-123`: RFC 1035 label, as for Services in older releases. */
export const checkDns1035Label: NameRule = (name, options) => {
  const value = options?.isPrefix === true ? maskTrailingDash(name) : name
  const errors = value.length > DNS_LABEL_BYTES_MAX ? [maxBytes(DNS_LABEL_BYTES_MAX)] : []
  if (dns1035LabelPattern.test(value)) return errors
  const rule =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " +
    'and end with an alphanumeric character'
  return [...errors, describePattern(rule, DNS_1035_LABEL, ['my-name', 'abc-123'])]
}

/** `example.com`: lower case RFC 1123 subdomain; the rule of most kinds. */
export const checkDnsSubdomain: NameRule = (name, options) => {
  const value = options?.isPrefix === true ? maskTrailingDash(name) : name
  const errors = value.length > DNS_SUBDOMAIN_BYTES_MAX ? [maxBytes(DNS_SUBDOMAIN_BYTES_MAX)] : []
  if (dnsSubdomainPattern.test(value)) return errors
  const rule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " +
    'and must start and end with an alphanumeric character'
  return [...errors, describePattern(rule, DNS_SUBDOMAIN, ['example.com'])]
}

/** Anything that can stand in a URL path; the rule of RBAC kinds and of custom list names. */
export const checkPathSegment: NameRule = (name, options) => {
  if (options?.isPrefix !== true) {
    if (name === '.') return [`may not be '.'`]
    if (name === '..') return [`may not be '..'`]
  }
  return ['/', '%'].filter((text) => name.includes(text)).map((text) => `may not contain '${text}'`)
}

/** `example.com/my.key`: keys of labels and annotations, finalizers, condition types. */
export function checkQualifiedName(value: string): readonly string[] {
  const slash = value.indexOf('/')
  const name = slash < 0 ? value : value.slice(slash + 1)
  if (name.length <= LABEL_NAME_BYTES_MAX && slash < 0 && labelKeyPattern.test(name)) return NOTHING
  const rule =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
  const shape = describePattern(rule, LABEL_KEY, ['MyName', 'my.name', '123-abc'])
  if (name.includes('/')) {
    return [`a valid label key ${shape} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`]
  }
  const errors: string[] = []
  if (slash === 0) errors.push('prefix part must be non-empty')
  else if (slash > 0) errors.push(...checkDnsSubdomain(value.slice(0, slash)).map((text) => `prefix part ${text}`))
  if (name === '') errors.push('name part must be non-empty')
  else if (name.length > LABEL_NAME_BYTES_MAX) errors.push(`name part ${maxBytes(LABEL_NAME_BYTES_MAX)}`)
  if (!labelKeyPattern.test(name)) errors.push(`name part ${shape}`)
  return errors
}

/** Value of a label: empty, or alphanumeric with dashes, dots and underscores inside. */
export function checkLabelValue(value: string): readonly string[] {
  const isShort = value.length <= LABEL_VALUE_BYTES_MAX
  const hasShape = labelValuePattern.test(value)
  if (isShort && hasShape) return NOTHING
  const errors: string[] = isShort ? [] : [maxBytes(LABEL_VALUE_BYTES_MAX)]
  const rule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " +
    'and must start and end with an alphanumeric character'
  if (!hasShape) errors.push(describePattern(rule, LABEL_VALUE, ['MyValue', 'my_value', '12345']))
  return errors
}

/** Upstream's sentence for a value that does not match a pattern. */
export function describePattern(rule: string, pattern: string, examples: readonly string[] = []): string {
  if (examples.length === 0) return `${rule} (regex used for validation is '${pattern}')`
  const list = examples.map((example) => `'${example}', `).join(' or ')
  return `${rule} (e.g. ${list}regex used for validation is '${pattern}')`
}

function maxBytes(bytes: number): string {
  return `must be no more than ${bytes} bytes`
}

/** A `generateName` may end in a dash, since a suffix follows. Upstream replaces its last two characters by one letter. */
function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name
}
