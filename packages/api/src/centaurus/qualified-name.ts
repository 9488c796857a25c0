import { ALL_TENANTS, SYSTEM_TENANT } from './names.ts'
import { sha256 } from './sha256.ts'

const SEPARATOR = '--'
/** Length of a DNS label, which namespaces must be. */
export const NAMESPACE_LENGTH_MAX = 63
/** Length of a DNS subdomain, which most other names may be. */
export const OBJECT_NAME_LENGTH_MAX = 253
/** Characters of the name that stay readable when the whole would be too long. */
const KEPT_LENGTH = 40

/**
 * Name of a tenant's namespace, or of a tenant's object without namespace, in views over all tenants: `<name>--<tenant>`. Those of the `system` tenant stay
 * as they are, unless they hold the separator themselves. Names of tenants hold no `--`, so the last one separates. A result that would exceed `lengthMax`
 * (default: a namespace's 63 characters) ends in a hash instead, and {@link splitQualifiedName} can't take it apart.
 */
export function qualifyName(name: string, tenant: string, lengthMax: number = NAMESPACE_LENGTH_MAX): string {
  if (name === '' || (tenant === SYSTEM_TENANT && !name.includes(SEPARATOR))) return name
  const full = `${name}${SEPARATOR}${tenant}`
  if (full.length <= lengthMax) return full
  return `${name.slice(0, KEPT_LENGTH).replace(/[-.]+$/, '')}${SEPARATOR}h-${hash(full)}`
}

export interface QualifiedName {
  readonly name: string
  readonly tenant: string
}

/** Inverse of {@link qualifyName}; undefined for a shortened name: only who made it knows what it stands for. */
export function splitQualifiedName(qualified: string): QualifiedName | undefined {
  const at = qualified.lastIndexOf(SEPARATOR)
  if (at <= 0) return { name: qualified, tenant: SYSTEM_TENANT }
  const tenant = qualified.slice(at + SEPARATOR.length)
  if (/^h-[0-9a-z]{13}$/.test(tenant)) return undefined
  return { name: qualified.slice(0, at), tenant }
}

/** Names that a tenant may have: a DNS label of at most 40 characters without `--` that is neither reserved nor looks like a hash. Returns why not, or undefined. */
export function refuseTenantName(name: string): string | undefined {
  if (!/^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/.test(name))
    return 'must start with a letter, end with a letter or digit, hold only lower case letters, digits and "-", and have at most 40 characters'
  if (name === SYSTEM_TENANT || name === ALL_TENANTS) return 'is reserved'
  if (name.includes(SEPARATOR)) return 'must not contain "--"'
  if (/^h-[0-9a-z]{13}$/.test(name)) return 'must not look like "h-" and a hash'
  return undefined
}

/**
 * 64 bits of SHA-256 as 13 characters. Whoever names a namespace so that it meets another tenant's would see what is that one's, so it must not be
 * possible to find such a name.
 */
function hash(text: string): string {
  const [high = 0, low = 0] = sha256(text)
  return ((BigInt(high) << 32n) | BigInt(low)).toString(36).padStart(13, '0')
}
