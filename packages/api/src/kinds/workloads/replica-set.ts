import { workloadWarnings } from './warnings.ts'
import type { ReplicaSet } from '../../generated/types/apps/v1.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import {
  ageColumn,
  column,
  containerImages,
  containerNames,
  formatSelector,
  nameColumn,
  templateColumns,
} from '../shared/table.ts'
import { validateReplicaSet, validateReplicaSetStatusUpdate, validateSelectorUpdate } from './validate-apps.ts'

/** Columns of replica sets and replication controllers. */
export const replicaColumns = [
  nameColumn,
  column('Desired', 'Pods that are wanted', { type: 'integer' }),
  column('Current', 'Pods that exist', { type: 'integer' }),
  column('Ready', 'Pods that are ready', { type: 'integer' }),
  ageColumn,
  ...templateColumns,
]

/** Replica sets. Source: pkg/apis/apps/v1/defaults.go and pkg/registry/apps/replicaset/strategy.go v1.37. */
export const replicaSetBehavior: KindBehavior<ReplicaSet> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.template',
      template: object.spec?.template,
      oldTemplate: old?.spec?.template,
      isNameUsed: true,
    }),
  setDefaults: ({ spec }) => {
    if (spec === undefined) return
    defaultPodTemplate(spec.template)
    spec.replicas ??= 1
  },
  validate: validateReplicaSet,
  validateUpdate: validateSelectorUpdate,
  validateStatusUpdate: validateReplicaSetStatusUpdate,
  selectableFields: ({ status }) => ({ 'status.replicas': String(status?.replicas ?? 0) }),
  selectableFieldNames: ['status.replicas'],
  columns: replicaColumns,
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec.replicas ?? 0,
    status?.replicas ?? 0,
    status?.readyReplicas ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(spec.template?.spec?.containers),
    containerImages(spec.template?.spec?.containers),
    formatSelector(spec.selector),
  ],
}
