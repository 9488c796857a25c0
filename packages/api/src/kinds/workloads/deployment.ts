import { workloadWarnings } from './warnings.ts'
import type { Deployment } from '../../generated/types/apps/v1.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import type { KindBehavior } from '../behavior.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { bumpGeneration } from '../shared/define.ts'
import { formatAge } from '../shared/duration.ts'
import {
  ageColumn,
  column,
  containerImages,
  containerNames,
  nameColumn,
  selectorText,
  templateColumns,
} from '../shared/table.ts'
import { validateDeployment, validateDeploymentStatusUpdate, validateSelectorUpdate } from './validate-apps.ts'

/** Deployments. Source: pkg/apis/apps/v1/defaults.go and pkg/registry/apps/deployment/strategy.go v1.37. */
export const deploymentBehavior: KindBehavior<Deployment> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.template',
      template: object.spec?.template,
      oldTemplate: old?.spec?.template,
      isNameUsed: true,
    }),
  setDefaults: defaultDeployment,
  validate: validateDeployment,
  validateUpdate: validateSelectorUpdate,
  validateStatusUpdate: validateDeploymentStatusUpdate,
  prepareForUpdate,
  prepareForStatusUpdate: (draft, old) => {
    draft.metadata.labels = old.metadata.labels
  },
  columns: [
    nameColumn,
    column('Ready', 'Pods that are ready, of those that are wanted'),
    column('Up-to-date', 'Pods that were made from the present template'),
    column('Available', 'Pods that have been ready long enough'),
    ageColumn,
    ...templateColumns,
  ],
  row: deploymentRow,
}

function defaultDeployment({ spec }: Deployment): void {
  if (spec === undefined) return
  defaultPodTemplate(spec.template)
  spec.replicas ??= 1
  const strategy = (spec.strategy ??= {})
  strategy.type = strategy.type || 'RollingUpdate'
  if (strategy.type === 'RollingUpdate') {
    strategy.rollingUpdate ??= {}
    strategy.rollingUpdate.maxUnavailable ??= '25%'
    strategy.rollingUpdate.maxSurge ??= '25%'
  }
  spec.revisionHistoryLimit ??= 10
  spec.progressDeadlineSeconds ??= 600
}

/** Annotations count as intent here: the controller copies them to its replica sets. */
function prepareForUpdate(draft: Deployment, old: Readonly<Deployment>): void {
  if (!semanticEqual(draft.metadata.annotations, old.metadata.annotations)) bumpGeneration(draft, old)
}

function deploymentRow({ metadata, spec, status }: Readonly<Deployment>, nowMs: number): unknown[] {
  const containers = spec.template.spec?.containers
  return [
    metadata.name,
    `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
    status?.updatedReplicas ?? 0,
    status?.availableReplicas ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(containers),
    containerImages(containers),
    selectorText(spec.selector),
  ]
}
