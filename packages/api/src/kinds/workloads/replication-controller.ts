import type { PodTemplate, ReplicationController } from '../../generated/types/core/v1.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import { FieldPath } from '../../status/field-error.ts'
import { validatePodTemplateSpec } from '../pod/validate-spec.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import { column, containerImages, containerNames, formatLabels, nameColumn } from '../shared/table.ts'
import { replicaColumns } from './replica-set.ts'
import { validateReplicaSetStatusUpdate, validateReplicationController } from './validate-apps.ts'

/** Replication controllers. Source: SetDefaults_ReplicationController, pkg/apis/core/v1; pkg/registry/core/replicationcontroller v1.37. */
export const replicationControllerBehavior: KindBehavior<ReplicationController> = {
  setDefaults: defaultReplicationController,
  validate: validateReplicationController,
  validateStatusUpdate: validateReplicaSetStatusUpdate,
  selectableFields: ({ status }) => ({ 'status.replicas': String(status?.replicas ?? 0) }),
  selectableFieldNames: ['status.replicas'],
  columns: replicaColumns,
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec?.replicas ?? 0,
    status?.replicas ?? 0,
    status?.readyReplicas ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(spec?.template?.spec?.containers),
    containerImages(spec?.template?.spec?.containers),
    formatLabels(spec?.selector),
  ],
}

function defaultReplicationController(draft: ReplicationController): void {
  const spec = (draft.spec ??= {})
  defaultPodTemplate(spec.template)
  const labels = spec.template?.metadata?.labels
  if (labels !== undefined) {
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
    if (Object.keys(draft.metadata.labels ?? {}).length === 0) draft.metadata.labels = { ...labels }
  }
  spec.replicas ??= 1
}

/** Pod templates as objects of their own. Source: pkg/registry/core/podtemplate v1.37. */
export const podTemplateBehavior: KindBehavior<PodTemplate> = {
  setDefaults: ({ template }) => defaultPodTemplate(template),
  validate: ({ template }) => validatePodTemplateSpec(template, new FieldPath('template')),
  columns: [
    nameColumn,
    column('Containers', 'Names of the containers'),
    column('Images', 'Images of the containers'),
    column('Pod Labels', 'Labels that the pods get'),
  ],
  row: ({ metadata, template }) => [
    metadata.name,
    containerNames(template?.spec?.containers),
    containerImages(template?.spec?.containers),
    formatLabels(template?.metadata?.labels),
  ],
}
