import type { PodDNSConfig, PodResourceClaim, PodSpec, PodTemplateSpec } from '../../generated/types/core/v1.ts'
import type { ObjectMeta } from '../../generated/types/meta/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkQualifiedName, describePattern } from '../../meta/names.ts'
import { validateAnnotations, validateLabels } from '../../meta/validate-object-meta.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  notFoundValue,
  required,
  tooLong,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import {
  checkOneOf,
  checkRange,
  checkRequiredName,
  checkRequiredOneOf,
  INT32_MAX,
  invalidFor,
} from '../shared/check.ts'
import { checkIpStrict } from '../shared/ip.ts'
import { RESTART_POLICIES } from './policies.ts'
import { validateAffinity } from './validate-affinity.ts'
import { validatePodAnnotations } from './validate-annotations.ts'
import {
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
  type ContainerContext,
} from './validate-container.ts'
import { validateContainerResourceName, validatePodResources, validateResourceAmount } from './validate-resources.ts'
import { validateSchedulingGates, validateSpread, validateTolerations } from './validate-scheduling.ts'
import { validateHostFields, validateOS, validatePodSecurityContext } from './validate-security.ts'
import { validateVolumes } from './validate-volumes.ts'

const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']
const NAMESERVERS_MAX = 3
const SEARCH_PATHS_MAX = 32
const SEARCH_LIST_CHARACTERS_MAX = 2_048
const HOSTNAME_OVERRIDE_BYTES_MAX = 64

/** Where a pod spec stands: in a pod (with its metadata), or in a template. */
export interface PodSpecOptions {
  readonly podMeta?: Readonly<ObjectMeta> | undefined
}

/** All rules of a pod spec. Source: ValidatePodSpec, pkg/apis/core/validation v1.37. */
export function validatePodSpec(
  spec: Readonly<PodSpec> | undefined,
  path: FieldPath,
  options: PodSpecOptions = {},
): FieldError[] {
  if (spec === undefined || spec === null) return [required(path.child('containers'))]
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]))
  const context: ContainerContext = { spec, volumes }
  return [
    ...validateVolumes(spec.volumes, path.child('volumes'), options.podMeta),
    ...validateResourceClaims(spec.resourceClaims ?? [], path.child('resourceClaims')),
    ...validateContainers(path.child('containers'), context),
    ...validateInitContainers(path.child('initContainers'), context),
    ...validateEphemeralContainers(path.child('ephemeralContainers'), context),
    ...validatePodResources(spec, path.child('resources')),
    ...validateHostFields(spec, path, { isPod: options.podMeta !== undefined }),
    ...checkRequiredOneOf(spec.restartPolicy, path.child('restartPolicy'), RESTART_POLICIES),
    ...checkRequiredOneOf(spec.dnsPolicy, path.child('dnsPolicy'), DNS_POLICIES),
    ...validateLabels(spec.nodeSelector ?? {}, path.child('nodeSelector')),
    ...validatePodSecurityContext(spec.securityContext, path.child('securityContext')),
    ...validateAffinity(spec.affinity, path.child('affinity')),
    ...validateDNSConfig(spec, path.child('dnsConfig')),
    ...validateScheduling(spec, path),
    ...validateNames(spec, path),
    ...validateOS(spec, path),
    ...validateFileKeyVolumes(context, path),
  ]
}

/** Labels, annotations and spec of a pod template. Source: ValidatePodTemplateSpec. */
export function validatePodTemplateSpec(
  template: Readonly<PodTemplateSpec> | undefined,
  path: FieldPath,
): FieldError[] {
  const specPath = path.child('spec')
  const annotations = template?.metadata?.annotations ?? {}
  const errors = [
    ...validateLabels(template?.metadata?.labels ?? {}, path.child('labels')),
    ...validateAnnotations(annotations, path.child('annotations')),
    ...validatePodAnnotations(annotations, path.child('annotations'), template?.spec),
    ...validatePodSpec(template?.spec, specPath),
  ]
  if ((template?.spec?.ephemeralContainers ?? []).length > 0) {
    errors.push(
      forbiddenField(specPath.child('ephemeralContainers'), 'ephemeral containers not allowed in pod template'),
    )
  }
  return errors
}

function validateScheduling(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const gates = path.child('readinessGates')
  return [
    ...(spec.readinessGates ?? []).flatMap(({ conditionType }, i) =>
      invalidFor(gates.index(i).child('conditionType'), conditionType, checkQualifiedName(conditionType)),
    ),
    ...validateSchedulingGates(spec.schedulingGates, path.child('schedulingGates')),
    ...validateSpread(spec.topologySpreadConstraints, path.child('topologySpreadConstraints')),
    ...validateTolerations(spec.tolerations, path.child('tolerations')),
    ...checkRange(spec.activeDeadlineSeconds, path.child('activeDeadlineSeconds'), { min: 1, max: INT32_MAX }),
    ...checkOneOf(spec.preemptionPolicy, path.child('preemptionPolicy'), ['PreemptLowerPriority', 'Never']),
    ...Object.entries(spec.overhead ?? {}).flatMap(([name, text]) => {
      const at = path.child('overhead', 'limits').key(name)
      return [...validateContainerResourceName(name, at), ...validateResourceAmount(name, text, at)]
    }),
  ]
}

function validateNames(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const errors = validateHostnameOverride(spec, path.child('hostnameOverride'))
  for (const field of ['serviceAccountName', 'nodeName', 'priorityClassName', 'runtimeClassName'] as const) {
    const name = spec[field]
    if (name || (field === 'runtimeClassName' && name === '')) {
      errors.push(...invalidFor(path.child(field), name, checkDnsSubdomain(name ?? '')))
    }
  }
  for (const field of ['hostname', 'subdomain'] as const) {
    const name = spec[field]
    if (name) errors.push(...invalidFor(path.child(field), name, checkDnsLabel(name)))
  }
  for (const [i, { ip, hostnames = [] }] of (spec.hostAliases ?? []).entries()) {
    const at = path.child('hostAliases').index(i)
    errors.push(...checkIpStrict(ip ?? '', at.child('ip')))
    errors.push(
      ...hostnames.flatMap((name, j) => invalidFor(at.child('hostnames').index(j), name, checkDnsSubdomain(name))),
    )
  }
  return errors
}

function validateHostnameOverride(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const name = spec.hostnameOverride
  if (name === undefined) return []
  const errors: FieldError[] = []
  if (spec.setHostnameAsFQDN === true) {
    errors.push(forbiddenField(path, 'may not be specified when setHostnameAsFQDN is true'))
  }
  if (spec.hostNetwork === true) errors.push(forbiddenField(path, 'may not be specified when hostNetwork is true'))
  if (name.length > HOSTNAME_OVERRIDE_BYTES_MAX) errors.push(tooLong(path, HOSTNAME_OVERRIDE_BYTES_MAX))
  return [...errors, ...invalidFor(path, name, checkDnsSubdomain(name))]
}

function validateDNSConfig({ dnsConfig, dnsPolicy }: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const nameserversPath = path.child('nameservers')
  const nameservers = dnsConfig?.nameservers ?? []
  if (dnsPolicy === 'None') {
    if (dnsConfig === undefined) return [required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')]
    if (nameservers.length === 0) {
      return [required(nameserversPath, 'must provide at least one DNS nameserver when `dnsPolicy` is None')]
    }
  }
  if (dnsConfig === undefined) return []
  const errors: FieldError[] = []
  if (nameservers.length > NAMESERVERS_MAX) {
    errors.push(invalid(nameserversPath, nameservers, `must not have more than ${NAMESERVERS_MAX} nameservers`))
  }
  errors.push(...nameservers.flatMap((address, i) => checkIpStrict(address, nameserversPath.index(i))))
  errors.push(...validateSearches(dnsConfig, path.child('searches')))
  for (const [i, { name }] of (dnsConfig.options ?? []).entries()) {
    if (!name) errors.push(required(path.child('options').index(i), 'must not be empty'))
  }
  return errors
}

function validateSearches({ searches = [] }: PodDNSConfig, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (searches.length > SEARCH_PATHS_MAX) {
    errors.push(invalid(path, searches, `must not have more than ${SEARCH_PATHS_MAX} search paths`))
  }
  if (searches.join(' ').length > SEARCH_LIST_CHARACTERS_MAX) {
    const detail = `must not have more than ${SEARCH_LIST_CHARACTERS_MAX} characters (including spaces) in the search list`
    errors.push(invalid(path, searches, detail))
  }
  const label = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
  const pattern = `${label}(\\.${label})*`
  for (const [i, search] of searches.entries()) {
    const name = search.endsWith('.') ? search.slice(0, -1) : search
    if (search === '.' || new RegExp(`^${pattern}$`).test(name)) continue
    const rule =
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', " +
      'and must start and end with an alphanumeric character'
    errors.push(invalid(path.index(i), name, describePattern(rule, pattern, ['example.com'])))
  }
  return errors
}

function validateResourceClaims(claims: readonly PodResourceClaim[], path: FieldPath): FieldError[] {
  const seen = new Set<string>()
  return claims.flatMap((claim, i) => {
    const at = path.index(i)
    const { name, resourceClaimName, resourceClaimTemplateName } = claim
    const errors = seen.has(name)
      ? [duplicate(at.child('name'), name)]
      : checkRequiredName(name, at.child('name'), checkDnsLabel)
    seen.add(name)
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      const detail = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'
      errors.push(invalid(at, claim, detail))
    } else if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      errors.push(invalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'))
    }
    for (const [field, value] of Object.entries({ resourceClaimName, resourceClaimTemplateName })) {
      if (value !== undefined) errors.push(...invalidFor(at.child(field), value, checkDnsSubdomain(value)))
    }
    return errors
  })
}

/** Variables that come from files need the file's volume. Source: validateFileKeyRefVolumes. */
function validateFileKeyVolumes({ spec, volumes }: ContainerContext, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      for (const [j, { valueFrom }] of (container.env ?? []).entries()) {
        const name = valueFrom?.fileKeyRef?.volumeName
        if (name === undefined) continue
        const at = path.child(list).index(i).child('env').index(j).child('valueFrom', 'fileKeyRef', 'volumeName')
        const volume = volumes.get(name)
        if (volume === undefined) errors.push(notFoundValue(at, name))
        else if (volume.emptyDir === undefined)
          errors.push(invalid(at, name, 'referenced volume must be of type emptyDir'))
      }
    }
  }
  return errors
}
