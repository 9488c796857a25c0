import type { CustomResourceDefinition } from '../../generated/types/apiextensions/v1.ts'
import type { APIService } from '../../generated/types/apiregistration/v1.ts'
import type { StorageVersion } from '../../generated/types/apiserverinternal/v1alpha1.ts'
import type { StorageVersionMigration } from '../../generated/types/storagemigration/v1.ts'
import { checkDns1035Label, checkDnsSubdomain, checkPathSegment } from '../../meta/names.ts'
import { FieldPath, invalid, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkOneOf, checkPortNumber, checkRequired, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, joinSome, nameColumn } from '../shared/table.ts'

const SERVICE_PORT = 443
const GROUP_PRIORITY_MAX = 20_000
const VERSION_PRIORITY_MAX = 1000
const STORAGE_VERSIONS_SHOWN = 3
const MIGRATION_OUTCOMES = ['Failed', 'Running', 'Succeeded']
const path = new FieldPath('spec')

/** The table alone: defaults and rules are in `../../crd`. Source: apiextensions-apiserver pkg/registry/customresourcedefinition v0.37. */
export const customResourceDefinitionBehavior: KindBehavior<CustomResourceDefinition> = {
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn,
    column('Scope', 'Whether the objects are in namespaces'),
    column('Versions', 'Versions that are served'),
    column('Created At', 'When the object was created', { type: 'date' }),
    column('Group', 'API group', { wide: true }),
    column('Kind', 'Kind of the objects', { wide: true }),
    column('ShortNames', 'Shorter names of the resource', { wide: true }),
    column('Established', 'Whether the objects are served', { type: 'boolean', wide: true }),
  ],
  row: ({ metadata, spec, status }) => [
    metadata.name,
    spec.scope,
    servedVersions(spec).join(','),
    metadata.creationTimestamp ?? '',
    spec.group,
    spec.names.kind,
    (spec.names.shortNames ?? []).join(','),
    (status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True'),
  ],
}

function servedVersions({ versions }: CustomResourceDefinition['spec']): string[] {
  return versions
    .filter(({ served }) => served)
    .map(({ name, storage }) => (storage ? `${name}(storage)` : name))
    .toSorted()
}

/** Source: kube-aggregator pkg/apis/apiregistration/{v1/defaults.go,validation}, pkg/registry/apiservice v0.37. */
export const apiServiceBehavior: KindBehavior<APIService> = {
  nameRule: checkPathSegment,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  setDefaults: ({ spec }) => {
    if (spec?.service) spec.service.port ??= SERVICE_PORT
  },
  validate: validateAPIService,
  validateStatusUpdate: ({ status }) =>
    (status?.conditions ?? []).flatMap((condition, i) =>
      checkOneOf(condition.status, new FieldPath('status.conditions').index(i).child('status'), [
        'True',
        'False',
        'Unknown',
      ]),
    ),
  columns: [
    nameColumn,
    column('Service', 'Service that serves the API'),
    column('Available', 'Whether it can be reached'),
    ageColumn,
  ],
  row: ({ metadata, spec, status }, nowMs) => {
    const { service } = spec ?? {}
    const available = (status?.conditions ?? []).find((condition) => condition.type === 'Available')
    const reason = available?.status === 'True' ? '' : ` (${available?.reason ?? ''})`
    return [
      metadata.name,
      service === undefined ? 'Local' : `${service.namespace}/${service.name}`,
      available === undefined ? 'Unknown' : `${available.status}${reason}`,
      formatAge(metadata.creationTimestamp, nowMs),
    ]
  },
}

/** Source: pkg/registry/apiserverinternal/storageversion, pkg/printers/internalversion v1.37. */
export const storageVersionBehavior: KindBehavior<StorageVersion> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn,
    column('CommonEncodingVersion', 'Version that all servers write'),
    column('StorageVersions', 'Version that each server writes'),
    ageColumn,
  ],
  row: ({ metadata, status }, nowMs) => [
    metadata.name,
    status?.commonEncodingVersion ?? '<unset>',
    joinSome(
      (status?.storageVersions ?? []).map((version) => `${version.apiServerID}=${version.encodingVersion}`),
      STORAGE_VERSIONS_SHOWN,
    ),
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Source: pkg/registry/storagemigration, pkg/printers/internalversion v1.37. */
export const storageVersionMigrationBehavior: KindBehavior<StorageVersionMigration> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ spec }) => checkRequired(spec?.resource?.resource, path.child('resource').child('resource')),
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, path),
  columns: [
    column('Name', 'Name of the object'),
    column('Resource', 'What is written anew'),
    column('Status', 'How far the migration is'),
  ],
  row: ({ metadata, spec, status }) => {
    const { group, resource = '' } = spec?.resource ?? {}
    const reached = (status?.conditions ?? []).findLast(
      (condition) => condition.status === 'True' && MIGRATION_OUTCOMES.includes(condition.type),
    )
    return [metadata.name, group ? `${resource}.${group}` : resource, reached?.type ?? 'Unknown']
  },
}

function validateAPIService({ metadata, spec }: Readonly<APIService>): FieldError[] {
  const { group = '', version = '', service, caBundle = '', insecureSkipTLSVerify = false } = spec ?? {}
  const { groupPriorityMinimum = 0, versionPriority = 0 } = spec ?? {}
  const errors: FieldError[] = []
  const name = `${version}.${group}`
  if (metadata.name !== name) {
    const detail = `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`
    errors.push(invalid(new FieldPath('metadata.name'), metadata.name ?? '', detail))
  }
  if (group !== '') errors.push(...invalidFor(path.child('group'), group, checkDnsSubdomain(group)))
  else if (version !== 'v1') {
    errors.push(required(path.child('group'), 'only v1 may have an empty group and it better be legacy kube'))
  }
  errors.push(...invalidFor(path.child('version'), version, checkDns1035Label(version)))
  if (groupPriorityMinimum <= 0 || groupPriorityMinimum > GROUP_PRIORITY_MAX) {
    const detail = 'must be positive and less than 20000'
    errors.push(invalid(path.child('groupPriorityMinimum'), groupPriorityMinimum, detail))
  }
  if (versionPriority <= 0 || versionPriority > VERSION_PRIORITY_MAX) {
    errors.push(invalid(path.child('versionPriority'), versionPriority, 'must be positive and less than 1000'))
  }
  const skipPath = path.child('insecureSkipTLSVerify')
  if (service === undefined) {
    if (caBundle) {
      const bytes = `${atob(caBundle).length} bytes`
      errors.push(invalid(path.child('caBundle'), bytes, 'local APIServices may not have a caBundle'))
    }
    if (insecureSkipTLSVerify) {
      errors.push(invalid(skipPath, true, 'local APIServices may not have insecureSkipTLSVerify'))
    }
    return errors
  }
  const servicePath = path.child('service')
  errors.push(...checkRequired(service.namespace, servicePath.child('namespace')))
  errors.push(...checkRequired(service.name, servicePath.child('name')))
  errors.push(...checkPortNumber(service.port, servicePath.child('port')))
  if (insecureSkipTLSVerify && caBundle) {
    errors.push(invalid(skipPath, true, 'may not be true if caBundle is present'))
  }
  return errors
}
