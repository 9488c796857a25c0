import { workloadWarnings } from './warnings.ts'
import type { StatefulSet } from '../../generated/types/apps/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import { defaultClaimSpec } from '../pod/default-volumes.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, containerImages, containerNames, nameColumn, templateColumns } from '../shared/table.ts'
import {
  validateStatefulSet,
  validateStatefulSetStatusUpdate,
  validateStatefulSetUpdate,
} from './validate-stateful-set.ts'

/** Stateful sets. Source: pkg/apis/apps/v1/defaults.go and pkg/registry/apps/statefulset/strategy.go v1.37. */
export const statefulSetBehavior: KindBehavior<StatefulSet> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.template',
      template: object.spec?.template,
      oldTemplate: old?.spec?.template,
    }),
  nameRule: checkDnsLabel,
  setDefaults: defaultStatefulSet,
  validate: validateStatefulSet,
  validateUpdate: validateStatefulSetUpdate,
  validateStatusUpdate: validateStatefulSetStatusUpdate,
  columns: [
    nameColumn,
    column('Ready', 'Pods that are ready, of those that are wanted'),
    ageColumn,
    ...templateColumns.slice(0, 2),
  ],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(spec.template.spec?.containers),
    containerImages(spec.template.spec?.containers),
  ],
}

function defaultStatefulSet({ spec }: StatefulSet): void {
  if (spec === undefined) return
  defaultPodTemplate(spec.template)
  spec.podManagementPolicy = spec.podManagementPolicy || 'OrderedReady'
  const strategy = (spec.updateStrategy ??= {})
  if (!strategy.type) {
    strategy.type = 'RollingUpdate'
    strategy.rollingUpdate ??= {}
  }
  if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate !== undefined) {
    strategy.rollingUpdate.partition ??= 0
    strategy.rollingUpdate.maxUnavailable ??= 1
  }
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {})
  retention.whenDeleted = retention.whenDeleted || 'Retain'
  retention.whenScaled = retention.whenScaled || 'Retain'
  spec.replicas ??= 1
  spec.revisionHistoryLimit ??= 10
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion ??= 'v1'
    claim.kind ??= 'PersistentVolumeClaim'
    if (claim.spec !== undefined) {
      defaultClaimSpec(claim.spec)
      roundUpResources(claim.spec.resources?.requests)
    }
    claim.status = { ...claim.status, phase: claim.status?.phase || 'Pending' }
  }
}
