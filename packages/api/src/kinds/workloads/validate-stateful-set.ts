import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '../../generated/types/apps/v1.ts'
import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import { FieldPath, invalid, required, type FieldError } from '../../status/field-error.ts'
import {
  checkAtMostAll,
  checkImmutable,
  checkIntOrPercent,
  checkNonNegative,
  checkOneOf,
  intOrPercentNumber,
  invalidFor,
} from '../shared/check.ts'
import { validateClaimSpec } from '../storage/validate-claim.ts'
import {
  checkNotDecremented,
  checkSelectorMatches,
  validateReplicaCounts,
  validateRunningTemplate,
  validateWorkloadSelector,
} from './validate-template.ts'

const path = new FieldPath('spec')

/** Source: ValidateStatefulSetSpec, pkg/apis/apps/validation v1.37. */
export function validateStatefulSet({ spec }: Readonly<StatefulSet>): FieldError[] {
  const retention = path.child('persistentVolumeClaimRetentionPolicy')
  const claims = path.child('volumeClaimTemplates')
  const template = path.child('template')
  const policy = spec.persistentVolumeClaimRetentionPolicy
  return [
    ...validatePodManagement(spec.podManagementPolicy),
    ...validateUpdateStrategy(spec.updateStrategy ?? {}, path.child('updateStrategy')),
    ...checkOneOf(policy?.whenDeleted, retention.child('whenDeleted'), ['Retain', 'Delete']),
    ...checkOneOf(policy?.whenScaled, retention.child('whenScaled'), ['Retain', 'Delete']),
    ...(spec.volumeClaimTemplates ?? []).flatMap((claim, i) =>
      validateClaimSpec(claim.spec, claims.index(i).child('spec')),
    ),
    ...checkNonNegative(spec.replicas, path.child('replicas')),
    ...checkNonNegative(spec.minReadySeconds, path.child('minReadySeconds')),
    ...checkNonNegative(spec.ordinals?.start, path.child('ordinals.start')),
    ...(spec.serviceName
      ? invalidFor(path.child('serviceName'), spec.serviceName, checkDnsLabel(spec.serviceName))
      : []),
    ...validateWorkloadSelector(spec.selector, path.child('selector'), 'statefulset'),
    ...checkSelectorMatches(spec.selector, spec.template, template),
    ...validateRunningTemplate(templateOfPods(spec), template, 'StatefulSet'),
  ]
}

/** Source: ValidateStatefulSetUpdate; what 1.37 reports is one error for each field that may not change. */
export function validateStatefulSetUpdate(
  { spec }: Readonly<StatefulSet>,
  { spec: old }: Readonly<StatefulSet>,
): FieldError[] {
  const fields = ['selector', 'volumeClaimTemplates', 'serviceName', 'podManagementPolicy'] as const
  return fields.flatMap((field) => checkImmutable(spec[field], old[field], path.child(field)))
}

export function validateStatefulSetStatusUpdate(
  object: Readonly<StatefulSet>,
  old: Readonly<StatefulSet>,
): FieldError[] {
  const replicas = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas']
  const status = new FieldPath('status')
  return [
    ...validateReplicaCounts(object.status, status, {
      counters: ['replicas', ...replicas, 'observedGeneration', 'collisionCount'],
      bounded: replicas,
      readyWord: 'status.readyReplicas',
    }),
    ...checkNotDecremented(object.status?.collisionCount, old.status?.collisionCount, status.child('collisionCount')),
  ]
}

function validatePodManagement(policy: string | undefined): FieldError[] {
  const at = path.child('podManagementPolicy')
  if (!policy) return [required(at)]
  return ['OrderedReady', 'Parallel'].includes(policy)
    ? []
    : [invalid(at, policy, "must be 'OrderedReady' or 'Parallel'")]
}

function validateUpdateStrategy(strategy: StatefulSetUpdateStrategy, at: FieldPath): FieldError[] {
  const rolling = strategy.rollingUpdate
  const rollingPath = at.child('rollingUpdate')
  if (!strategy.type) return [required(at)]
  if (strategy.type === 'OnDelete') {
    return rolling === undefined
      ? []
      : [invalid(rollingPath, rolling, "only allowed for updateStrategy 'RollingUpdate'")]
  }
  if (strategy.type !== 'RollingUpdate') return [invalid(at, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
  const unavailable = rollingPath.child('maxUnavailable')
  const errors = checkNonNegative(rolling?.partition, rollingPath.child('partition'))
  if (rolling?.maxUnavailable === undefined) return errors
  errors.push(...checkIntOrPercent(rolling.maxUnavailable, unavailable))
  if (intOrPercentNumber(rolling.maxUnavailable) === 0)
    errors.push(invalid(unavailable, rolling.maxUnavailable, 'cannot be 0'))
  return [...errors, ...checkAtMostAll(rolling.maxUnavailable, unavailable)]
}

/** The template as its pods will be: with volumes for the claims, and the names that the controller gives. */
function templateOfPods({ template, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec | undefined {
  if (template?.spec === undefined) return template
  const names = new Set(volumeClaimTemplates.map((claim) => claim.metadata?.name ?? ''))
  const claimed = [...names].map((name) => ({ name, persistentVolumeClaim: { claimName: name } }))
  const { hostname: _, subdomain: __, ...spec } = template.spec
  const volumes = [...claimed, ...(spec.volumes ?? []).filter((volume) => !names.has(volume.name))]
  return { ...template, spec: { ...spec, volumes } }
}
