import type { ServiceReference } from '../../generated/types/admissionregistration/v1.ts'
import { checkDnsSubdomain } from '../../meta/names.ts'
import { invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkRequired } from '../shared/check.ts'

const FORM = '; desired format: https://host[/path]'
const PORT_MAX = 65_535

/** Source: ValidateWebhookURL, apiserver pkg/util/webhook v0.37. */
export function validateWebhookUrl(text: string, path: FieldPath): FieldError[] {
  // The platform's parser takes no relative references and so no missing host; those are told apart by hand.
  const [, scheme = ''] = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(text) ?? []
  const errors: FieldError[] = []
  if (scheme.toLowerCase() !== 'https') {
    errors.push(invalid(path, scheme, `'https' is the only allowed URL scheme${FORM}`))
  }
  if (!/^([a-zA-Z][a-zA-Z0-9+.-]*:)?\/\/[^/?#]/.test(text)) {
    errors.push(invalid(path, '', `host must be specified${FORM}`))
    return errors
  }
  const url = URL.parse(text)
  if (url === null) return [required(path, `url must be a valid URL: cannot be parsed${FORM}`)]
  if (url.username || url.password) {
    errors.push(invalid(path, url.username, 'user information is not permitted in the URL'))
  }
  if (url.hash) errors.push(invalid(path, url.hash.slice(1), 'fragments are not permitted in the URL'))
  if (url.search) errors.push(invalid(path, url.search.slice(1), 'query parameters are not permitted in the URL'))
  return errors
}

/** Source: ValidateWebhookService, same package. */
export function validateWebhookService(service: Readonly<ServiceReference>, path: FieldPath): FieldError[] {
  const { port, path: urlPath = '' } = service
  const errors = [
    ...checkRequired(service.name, path.child('name')),
    ...checkRequired(service.namespace, path.child('namespace')),
  ]
  if (port !== undefined && (port < 1 || port > PORT_MAX)) {
    const detail = `port is not valid: must be between 1 and ${PORT_MAX}, inclusive`
    errors.push(invalid(path.child('port'), port, detail))
  }
  return [...errors, ...validateUrlPath(urlPath, path.child('path'))]
}

function validateUrlPath(text: string, path: FieldPath): FieldError[] {
  if (text === '' || text === '/') return []
  if (text === '//') return [invalid(path, text, 'segment[0] may not be empty')]
  const errors = text.startsWith('/') ? [] : [invalid(path, text, "must start with a '/'")]
  for (const [i, step] of text.slice(1).replace(/\/$/, '').split('/').entries()) {
    if (step === '') errors.push(invalid(path, text, `segment[${i}] may not be empty`))
    else errors.push(...checkDnsSubdomain(step).map((message) => invalid(path, text, `segment[${i}]: ${message}`)))
  }
  return errors
}
