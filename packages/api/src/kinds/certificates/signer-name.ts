import { checkDnsLabel, checkDnsSubdomain } from '../../meta/names.ts'
import { invalid, required, tooLong, type FieldError, type FieldPath } from '../../status/field-error.ts'

const DOMAIN_BYTES_MAX = 253
const PATH_BYTES_MAX = 253 + 63 + 1
const SIGNER_NAME_BYTES_MAX = DOMAIN_BYTES_MAX + PATH_BYTES_MAX + 1

/** Name of a signer, such as `example.com/signer`. Source: ValidateSignerName, pkg/apis/core/validation/names.go v1.37. */
export function checkSignerName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [required(path)]
  const [domain = '', rest, ...surplus] = name.split('/')
  if (rest === undefined || surplus.length > 0) {
    return [invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
  }
  const errors: FieldError[] = []
  if (domain.length > DOMAIN_BYTES_MAX) errors.push(tooLong(path, DOMAIN_BYTES_MAX))
  errors.push(...checkParts(domain, path, checkDnsLabel))
  if (!domain.includes('.')) {
    errors.push(invalid(path, domain, 'should be a domain with at least two segments separated by dots'))
  }
  errors.push(...checkParts(rest, path, checkDnsSubdomain))
  if (name.length > SIGNER_NAME_BYTES_MAX) errors.push(tooLong(path, SIGNER_NAME_BYTES_MAX))
  return errors
}

/** Reports the first part that is wrong. */
function checkParts(text: string, path: FieldPath, rule: (part: string) => readonly string[]): FieldError[] {
  for (const part of text.split('.')) {
    const messages = rule(part)
    if (messages.length === 0) continue
    return messages.map((message) => invalid(path, text, `validating label ${JSON.stringify(part)}: ${message}`))
  }
  return []
}
