import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressClassParametersReference,
  IngressRule,
  IngressServiceBackend,
  IngressTLS,
} from '../../generated/types/networking/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkPathSegment, describePattern } from '../../meta/names.ts'
import {
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  tooLong,
  type FieldError,
} from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { loadBalancerText } from '../service/table.ts'
import { validateIngressAddress } from '../service/validate.ts'
import { checkImmutable, checkPortNumber, checkRequiredName, describePortName, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { parseIp } from '../shared/ip.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const HOSTS_SHOWN_MAX = 3
const CONTROLLER_BYTES_MAX = 250
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const DEFAULT_CLASS = 'ingressclass.kubernetes.io/is-default-class'
const SUBDOMAIN = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'
const BAD_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F']
const BAD_SUFFIXES = ['/..', '/.']
const path = new FieldPath('spec')

/** Ingresses. Source: pkg/apis/networking/validation, pkg/registry/networking/ingress, printIngress v1.37. */
export const ingressBehavior: KindBehavior<Ingress> = {
  validate: validateIngress,
  validateCreate: ({ metadata, spec }) => {
    const value = metadata.annotations?.[CLASS_ANNOTATION]
    if (value === undefined || spec?.ingressClassName === undefined || value === spec.ingressClassName) return []
    const detail = 'must match `ingressClassName` when both are specified'
    return [invalid(new FieldPath('annotations').child(CLASS_ANNOTATION), value, detail)]
  },
  validateStatusUpdate: ({ status }, old) => {
    const known = (old.status?.loadBalancer?.ingress ?? []).map((entry) => entry.ip)
    const at = new FieldPath('status.loadBalancer.ingress')
    return (status?.loadBalancer?.ingress ?? []).flatMap((entry, i) =>
      validateIngressAddress(entry, at.index(i), known),
    )
  },
  columns: [
    nameColumn,
    column('Class', 'Class whose controller serves it'),
    column('Hosts', 'Hosts of its rules'),
    column('Address', 'Where requests go'),
    column('Ports', 'Ports on which it listens'),
    ageColumn,
  ],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec?.ingressClassName ?? '<none>',
    formatHosts(spec?.rules ?? []),
    loadBalancerText(status?.loadBalancer?.ingress),
    (spec?.tls ?? []).length === 0 ? '80' : '80, 443',
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Ingress classes. Source: pkg/apis/networking/{v1/defaults.go,validation} v1.37. */
export const ingressClassBehavior: KindBehavior<IngressClass> = {
  setDefaults: ({ spec }) => {
    if (spec?.parameters !== undefined) spec.parameters.scope ??= 'Cluster'
  },
  validate: ({ spec }) => [
    ...validateController(spec?.controller ?? '', path.child('controller')),
    ...validateParameters(spec?.parameters, path.child('parameters')),
  ],
  validateUpdate: (now, old) => checkImmutable(now.spec?.controller, old.spec?.controller, path.child('controller')),
  columns: [
    nameColumn,
    column('Controller', 'Who serves the class'),
    column('Parameters', 'Object with more settings'),
    ageColumn,
  ],
  row: ({ metadata, spec }, nowMs) => {
    const { apiGroup, kind, name } = spec?.parameters ?? {}
    const isDefault = metadata.annotations?.[DEFAULT_CLASS] === 'true'
    return [
      `${metadata.name ?? ''}${isDefault ? ' (default)' : ''}`,
      spec?.controller ?? '',
      spec?.parameters === undefined ? '<none>' : `${kind}${apiGroup === undefined ? '' : `.${apiGroup}`}/${name}`,
      formatAge(metadata.creationTimestamp, nowMs),
    ]
  },
}

/** Source: formatHosts: a rule past the third counts even when it names no host. */
function formatHosts(rules: readonly IngressRule[]): string {
  const hosts: string[] = []
  let more = false
  for (const { host } of rules) {
    more ||= hosts.length === HOSTS_SHOWN_MAX
    if (!more && host) hosts.push(host)
  }
  if (hosts.length === 0) return '*'
  return more ? `${hosts.join(',')} + ${rules.length - HOSTS_SHOWN_MAX} more...` : hosts.join(',')
}

function validateIngress({ spec = {} }: Readonly<Ingress>): FieldError[] {
  const errors: FieldError[] = []
  const rules = spec.rules ?? []
  if (rules.length === 0 && spec.defaultBackend === undefined) {
    errors.push(invalid(path, rules, 'either `defaultBackend` or `rules` must be specified'))
  }
  if (spec.defaultBackend !== undefined)
    errors.push(...validateBackend(spec.defaultBackend, path.child('defaultBackend')))
  errors.push(...rules.flatMap((rule, i) => validateRule(rule, path.child('rules').index(i))))
  errors.push(...(spec.tls ?? []).flatMap((tls, i) => validateTLS(tls, path.child('tls').index(i))))
  const name = spec.ingressClassName
  return name === undefined
    ? errors
    : [...errors, ...invalidFor(path.child('ingressClassName'), name, checkDnsSubdomain(name))]
}

function checkHost(host: string, at: FieldPath): FieldError[] {
  if (!host.includes('*')) return invalidFor(at, host, checkDnsSubdomain(host))
  if (new RegExp(`^\\*\\.${SUBDOMAIN}$`).test(host)) return []
  const rule =
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case " +
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character"
  return [invalid(at, host, describePattern(rule, `\\*\\.${SUBDOMAIN}`, ['*.example.com']))]
}

function validateTLS({ hosts = [], secretName }: IngressTLS, at: FieldPath): FieldError[] {
  const errors = hosts.flatMap((host, i) => checkHost(host, at.child('hosts').index(i)))
  return secretName
    ? [...errors, ...invalidFor(at.child('secretName'), secretName, checkDnsSubdomain(secretName))]
    : errors
}

function validateRule({ host, http }: IngressRule, at: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (host) {
    if (parseIp(host) !== undefined)
      errors.push(invalid(at.child('host'), host, 'must be a DNS name, not an IP address'))
    errors.push(...checkHost(host, at.child('host')))
  }
  if (http === undefined) return errors
  const paths = http.paths ?? []
  const pathsPath = at.child('http', 'paths')
  if (paths.length === 0) errors.push(required(pathsPath))
  return [...errors, ...paths.flatMap((item, i) => validatePath(item, pathsPath.index(i)))]
}

function validatePath({ path: text = '', pathType, backend }: HTTPIngressPath, at: FieldPath): FieldError[] {
  if (!pathType) return [required(at.child('pathType'), 'pathType must be specified')]
  const textPath = at.child('path')
  const errors: FieldError[] = []
  const isStrict = pathType === 'Exact' || pathType === 'Prefix'
  if (!isStrict && pathType !== 'ImplementationSpecific') {
    errors.push(notSupported(at.child('pathType'), pathType, ['Exact', 'ImplementationSpecific', 'Prefix']))
  } else if (!text.startsWith('/') && (isStrict || text !== '')) {
    errors.push(invalid(textPath, text, 'must be an absolute path'))
  }
  if (isStrict) {
    for (const bad of BAD_SEQUENCES)
      if (text.includes(bad)) errors.push(invalid(textPath, text, `must not contain '${bad}'`))
    for (const bad of BAD_SUFFIXES)
      if (text.endsWith(bad)) errors.push(invalid(textPath, text, `cannot end with '${bad}'`))
  }
  return [...errors, ...validateBackend(backend ?? {}, at.child('backend'))]
}

function validateBackend({ resource, service }: IngressBackend, at: FieldPath): FieldError[] {
  if (resource !== undefined && service !== undefined)
    return [invalid(at, '', 'cannot set both resource and service backends')]
  if (service !== undefined) return validateServiceBackend(service, at)
  if (resource === undefined) return [invalid(at, '', 'resource or service backend is required')]
  return validateReference(resource, at.child('resource'))
}

function validateServiceBackend({ name, port }: IngressServiceBackend, at: FieldPath): FieldError[] {
  const errors = checkRequiredName(name, at.child('service', 'name'), checkDnsLabel)
  const portPath = at.child('service', 'port')
  if (port?.name && port.number) return [...errors, invalid(at, '', 'cannot set both port name & port number')]
  if (port?.name) return [...errors, ...invalidFor(portPath.child('name'), port.name, describePortName(port.name))]
  if (port?.number) return [...errors, ...checkPortNumber(port.number, portPath.child('number'))]
  return [...errors, required(at, 'port name or number is required')]
}

interface Reference {
  readonly apiGroup?: string | undefined
  readonly kind: string
  readonly name: string
}

function validateReference({ apiGroup, kind, name }: Reference, at: FieldPath): FieldError[] {
  return [
    ...(apiGroup === undefined ? [] : invalidFor(at.child('apiGroup'), apiGroup, checkDnsSubdomain(apiGroup))),
    ...checkRequiredName(kind, at.child('kind'), checkPathSegment),
    ...checkRequiredName(name, at.child('name'), checkPathSegment),
  ]
}

/** Source: IsDomainPrefixedPath, apimachinery pkg/util/validation v0.37. */
function validateController(controller: string, at: FieldPath): FieldError[] {
  const errors = controller.length > CONTROLLER_BYTES_MAX ? [tooLong(at, CONTROLLER_BYTES_MAX)] : []
  if (controller === '') return [...errors, required(at)]
  const [, host, rest] = /^([^/]+)\/(.+)$/.exec(controller) ?? []
  if (host === undefined || rest === undefined) {
    return [...errors, invalid(at, controller, 'must be a domain-prefixed path (such as "acme.io/foo")')]
  }
  errors.push(...invalidFor(at, host, checkDnsSubdomain(host)))
  const pattern = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
  return new RegExp(`^${pattern}$`).test(rest)
    ? errors
    : [...errors, invalid(at, rest, describePattern('Invalid path', pattern))]
}

function validateParameters(parameters: IngressClassParametersReference | undefined, at: FieldPath): FieldError[] {
  if (parameters === undefined) return []
  const errors = validateReference(parameters, at)
  const { scope, namespace } = parameters
  const namespacePath = at.child('namespace')
  if (scope === undefined) return [...errors, required(at.child('scope'))]
  if (scope === 'Namespace') {
    if (namespace === undefined) return [...errors, required(namespacePath, "`parameters.scope` is set to 'Namespace'")]
    return [...errors, ...invalidFor(namespacePath, namespace, checkDnsLabel(namespace))]
  }
  if (scope !== 'Cluster') return [...errors, notSupported(at.child('scope'), scope, ['Cluster', 'Namespace'])]
  return namespace === undefined
    ? errors
    : [...errors, forbiddenField(namespacePath, "`parameters.scope` is set to 'Cluster'")]
}
