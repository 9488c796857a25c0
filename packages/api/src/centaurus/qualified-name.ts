import { ALL_TENANTS, SYSTEM_TENANT } from './names.ts'

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

/** 64 bits of FNV-1a as 13 characters; runs in a browser. Collisions are caught by whoever keeps the names. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n
  for (let i = 0; i < text.length; i++)
    value = ((value ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n) & 0xffffffffffffffffn
  return value.toString(36).padStart(13, '0')
}
