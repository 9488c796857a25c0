import {
  checkDns1035Label,
  checkDnsSubdomain,
  checkPathSegment,
  FieldPath,
  formatAge,
  invalid,
  required,
  type FieldError,
  type KindBehavior,
} from '@centaurus/api'
import type { APIService } from '@centaurus/api/apiregistration/v1'

/** Source: kube-aggregator pkg/apis/apiregistration/v1/defaults.go. */
const SERVICE_PORT_DEFAULT = 443
const GROUP_PRIORITY_MAX = 20_000
const VERSION_PRIORITY_MAX = 1000
const PORT_MAX = 65_535

/** How APIServices behave. Source: kube-aggregator pkg/apis/apiregistration/validation and pkg/registry/apiservice/etcd (v0.37). */
export const API_SERVICE_BEHAVIOR: KindBehavior<APIService> = {
  nameRule: checkPathSegment,
  setDefaults(draft) {
    if (draft.spec?.service !== undefined) draft.spec.service.port ??= SERVICE_PORT_DEFAULT
  },
  validate: (object) => [...checkName(object), ...checkPriorities(object), ...checkService(object)],
  columns: [
    {
      name: 'Name',
      type: 'string',
      format: 'name',
      description: 'Name must be unique within a namespace.',
      priority: 0,
    },
    {
      name: 'Service',
      type: 'string',
      description: 'The reference to the service that hosts this API endpoint.',
      priority: 0,
    },
    { name: 'Available', type: 'string', description: 'Whether this service is available.', priority: 0 },
    { name: 'Age', type: 'string', description: 'When it was created.', priority: 0 },
  ],
  row: (object, nowMs) => [
    object.metadata.name,
    serviceOf(object),
    availabilityOf(object),
    formatAge(object.metadata.creationTimestamp, nowMs),
  ],
}

function checkName({ metadata, spec }: Readonly<APIService>): FieldError[] {
  const { group = '', version = '' } = spec ?? {}
  const path = new FieldPath('spec')
  const errors: FieldError[] = []
  const wanted = `${version}.${group}`
  if (metadata.name !== wanted) {
    const why = `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`
    errors.push(invalid(new FieldPath('metadata').child('name'), metadata.name, why))
  }
  if (group === '' && version !== 'v1') {
    errors.push(required(path.child('group'), 'only v1 may have an empty group and it better be legacy kube'))
  }
  if (group !== '') errors.push(...checkDnsSubdomain(group).map((why) => invalid(path.child('group'), group, why)))
  return [...errors, ...checkDns1035Label(version).map((why) => invalid(path.child('version'), version, why))]
}

function checkPriorities({ spec }: Readonly<APIService>): FieldError[] {
  const check = (name: 'groupPriorityMinimum' | 'versionPriority', max: number): FieldError[] => {
    const value = spec?.[name] ?? 0
    if (value > 0 && value <= max) return []
    return [invalid(new FieldPath('spec').child(name), value, `must be positive and less than ${max}`)]
  }
  return [...check('groupPriorityMinimum', GROUP_PRIORITY_MAX), ...check('versionPriority', VERSION_PRIORITY_MAX)]
}

function checkService({ spec }: Readonly<APIService>): FieldError[] {
  const path = new FieldPath('spec')
  const { service, caBundle = '', insecureSkipTLSVerify = false } = spec ?? {}
  const errors: FieldError[] = []
  if (service === undefined) {
    if (caBundle !== '')
      errors.push(
        invalid(path.child('caBundle'), `${caBundle.length} bytes`, 'local APIServices may not have a caBundle'),
      )
    if (insecureSkipTLSVerify) {
      errors.push(
        invalid(path.child('insecureSkipTLSVerify'), true, 'local APIServices may not have insecureSkipTLSVerify'),
      )
    }
    return errors
  }
  if ((service.namespace ?? '') === '') errors.push(required(path.child('service', 'namespace')))
  if ((service.name ?? '') === '') errors.push(required(path.child('service', 'name')))
  const port = service.port ?? SERVICE_PORT_DEFAULT
  if (port < 1 || port > PORT_MAX) {
    errors.push(
      invalid(path.child('service', 'port'), port, `port is not valid: must be between 1 and ${PORT_MAX}, inclusive`),
    )
  }
  if (insecureSkipTLSVerify && caBundle !== '') {
    errors.push(invalid(path.child('insecureSkipTLSVerify'), true, 'may not be true if caBundle is present'))
  }
  return errors
}

function serviceOf({ spec }: Readonly<APIService>): string {
  return spec?.service === undefined ? 'Local' : `${spec.service.namespace}/${spec.service.name}`
}

function availabilityOf({ status }: Readonly<APIService>): string {
  const condition = status?.conditions?.find((entry) => entry.type === 'Available')
  if (condition === undefined) return 'Unknown'
  return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason})`
}
