import type {
  EnvFromSource,
  EnvVar,
  FileKeySelector,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from '../../generated/types/core/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkQualifiedName } from '../../meta/names.ts'
import { invalid, notSupported, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkRequired, checkRequiredName, describeConfigKey, invalidFor, tryQuantity } from '../shared/check.ts'
import { checkNoBacksteps } from './paths.ts'

const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
const VOLUME_FIELDS = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']
const RESOURCE_FIELDS = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const SIZE_DIVISORS = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei']
const ENV_SOURCES = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef', 'fileKeyRef'] as const

/** Environment variables of a container. Source: ValidateEnv, pkg/apis/core/validation v1.37. */
export function validateEnv(variables: readonly EnvVar[] | undefined, path: FieldPath): FieldError[] {
  return (variables ?? []).flatMap((variable, i) => {
    const at = path.index(i)
    const name = variable.name ? describeEnvName(variable.name, at.child('name')) : [required(at.child('name'))]
    return [...name, ...validateValueFrom(variable, at.child('valueFrom'))]
  })
}

/** Sets of variables. Source: ValidateEnvFrom; like upstream it reports a missing source at the list, not at the item. */
export function validateEnvFrom(sources: readonly EnvFromSource[] | undefined, path: FieldPath): FieldError[] {
  return (sources ?? []).flatMap(({ prefix, configMapRef, secretRef }, i) => {
    const at = path.index(i)
    const errors = prefix ? describeEnvName(prefix, at.child('prefix')) : []
    if (configMapRef !== undefined) {
      errors.push(...checkRequiredName(configMapRef.name, at.child('configMapRef', 'name'), checkDnsSubdomain))
    }
    if (secretRef !== undefined) {
      errors.push(...checkRequiredName(secretRef.name, at.child('secretRef', 'name'), checkDnsSubdomain))
    }
    if (configMapRef === undefined && secretRef === undefined) {
      errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    } else if (configMapRef !== undefined && secretRef !== undefined) {
      errors.push(invalid(path, '', 'may not have more than one field specified at a time'))
    }
    return errors
  })
}

/** Reference to a field of the pod, for a volume or a variable. Source: validateObjectFieldSelector. */
export function validateFieldRef(ref: ObjectFieldSelector, path: FieldPath, use: 'env' | 'volume'): FieldError[] {
  if (!ref.apiVersion) return [required(path.child('apiVersion'))]
  if (!ref.fieldPath) return [required(path.child('fieldPath'))]
  const at = path.child('fieldPath')
  if (ref.apiVersion !== 'v1') {
    const detail = `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`
    return [invalid(at, ref.fieldPath, detail)]
  }
  const subscript = /^(.*?)\['(.*)'\]$/.exec(ref.fieldPath)
  if (subscript !== null) return validateSubscript(subscript[1]!, subscript[2]!, path)
  const allowed = use === 'env' ? ENV_FIELDS : VOLUME_FIELDS
  // `spec.host` is an old name for the node.
  const field = ref.fieldPath === 'spec.host' ? 'spec.nodeName' : ref.fieldPath
  if (allowed.includes(field)) return []
  const known = [...ENV_FIELDS, ...VOLUME_FIELDS, 'spec.restartPolicy', 'spec.schedulerName', 'status.phase']
  if (!known.includes(field)) {
    return [invalid(at, ref.fieldPath, `error converting fieldPath: field label not supported: ${ref.fieldPath}`)]
  }
  return [notSupported(at, field, allowed)]
}

/** Reference to an amount of a container. Source: validateContainerResourceFieldSelector. */
export function validateResourceFieldRef(
  ref: ResourceFieldSelector,
  path: FieldPath,
  use: 'env' | 'volume',
): FieldError[] {
  const errors: FieldError[] = []
  if (use === 'volume' && !ref.containerName) errors.push(required(path.child('containerName')))
  else if (!ref.resource) errors.push(required(path.child('resource')))
  else if (!RESOURCE_FIELDS.includes(ref.resource) && !/^(requests|limits)\.hugepages-/.test(ref.resource)) {
    errors.push(notSupported(path.child('resource'), ref.resource, RESOURCE_FIELDS))
  }
  return [...errors, ...validateDivisor(ref, path.child('divisor'))]
}

function validateDivisor({ resource, divisor }: ResourceFieldSelector, path: FieldPath): FieldError[] {
  const quantity = tryQuantity(divisor)
  if (quantity === undefined || quantity.nanos === 0n || !resource) return []
  const kind = resource.replace(/^(requests|limits)\./, '')
  if (kind === 'cpu') {
    if (['1m', '1'].includes(quantity.text)) return []
    return [invalid(path, resource, "only divisor's values 1m and 1 are supported with the cpu resource")]
  }
  const nouns: Record<string, string> = { memory: 'memory', 'ephemeral-storage': 'local ephemeral storage' }
  const noun = kind.startsWith('hugepages-') ? 'hugepages' : nouns[kind]
  if (noun === undefined || SIZE_DIVISORS.includes(quantity.text)) return []
  return [
    invalid(
      path,
      resource,
      `only divisor's values ${SIZE_DIVISORS.join(', ')} are supported with the ${noun} resource`,
    ),
  ]
}

function validateSubscript(field: string, key: string, path: FieldPath): FieldError[] {
  if (field === 'metadata.annotations')
    return invalidFor(path, key.toLowerCase(), checkQualifiedName(key.toLowerCase()))
  if (field === 'metadata.labels') return invalidFor(path, key, checkQualifiedName(key))
  return [invalid(path, field, 'does not support subscript')]
}

/** Any printable ASCII but `=`. Source: IsRelaxedEnvVarName, apimachinery v0.37. */
function describeEnvName(name: string, path: FieldPath): FieldError[] {
  if (/^[\x20-\x3c\x3e-\x7e]*$/.test(name)) return []
  const detail = "a valid environment variable name must consist only of printable ASCII characters other than '='"
  return [invalid(path, name, detail)]
}

function validateValueFrom({ value, valueFrom }: EnvVar, path: FieldPath): FieldError[] {
  if (valueFrom === undefined) return []
  const errors: FieldError[] = []
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom
  if (fieldRef !== undefined) errors.push(...validateFieldRef(fieldRef, path.child('fieldRef'), 'env'))
  if (resourceFieldRef !== undefined) {
    errors.push(...validateResourceFieldRef(resourceFieldRef, path.child('resourceFieldRef'), 'env'))
  }
  if (configMapKeyRef !== undefined) errors.push(...validateKeyRef(configMapKeyRef, path.child('configMapKeyRef')))
  if (secretKeyRef !== undefined) errors.push(...validateKeyRef(secretKeyRef, path.child('secretKeyRef')))
  if (fileKeyRef !== undefined) errors.push(...validateFileKeyRef(fileKeyRef, path.child('fileKeyRef')))
  const count = ENV_SOURCES.filter((source) => valueFrom[source] !== undefined).length
  if (count === 0) {
    const names = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'
    errors.push(invalid(path, '', `must specify one of: ${names}`))
  } else if (value) errors.push(invalid(path, '', 'may not be specified when `value` is not empty'))
  else if (count > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'))
  return errors
}

function validateKeyRef(ref: { name?: string | undefined; key: string }, path: FieldPath): FieldError[] {
  return [
    ...invalidFor(path.child('name'), ref.name ?? '', checkDnsSubdomain(ref.name ?? '')),
    ...checkRequiredName(ref.key, path.child('key'), describeConfigKey),
  ]
}

function validateFileKeyRef(ref: FileKeySelector, path: FieldPath): FieldError[] {
  return [
    ...(ref.key ? describeEnvName(ref.key, path.child('key')) : [required(path.child('key'))]),
    ...checkRequiredName(ref.volumeName, path.child('volumeName'), checkDnsLabel),
    ...checkRequired(ref.path, path.child('path')),
    ...checkNoBacksteps(ref.path ?? '', path.child('path')),
  ]
}
