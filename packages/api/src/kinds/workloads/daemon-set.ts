import { workloadWarnings } from './warnings.ts'
import type { DaemonSet } from '../../generated/types/apps/v1.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import type { KindBehavior } from '../behavior.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { formatAge } from '../shared/duration.ts'
import {
  ageColumn,
  column,
  containerImages,
  containerNames,
  formatLabels,
  formatSelector,
  nameColumn,
  templateColumns,
} from '../shared/table.ts'
import { validateDaemonSet, validateDaemonSetStatusUpdate, validateSelectorUpdate } from './validate-apps.ts'

/** Holds what the field `templateGeneration` of older versions held. Source: apps/v1 DeprecatedTemplateGeneration. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'

/** Daemon sets. Source: pkg/apis/apps/v1/{defaults,conversion}.go and pkg/registry/apps/daemonset/strategy.go v1.37. */
export const daemonSetBehavior: KindBehavior<DaemonSet> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.template',
      template: object.spec?.template,
      oldTemplate: old?.spec?.template,
    }),
  setDefaults: defaultDaemonSet,
  validate: validateDaemonSet,
  validateUpdate: validateSelectorUpdate,
  validateStatusUpdate: validateDaemonSetStatusUpdate,
  prepareForCreate: (draft) => setTemplateGeneration(draft, Math.max(1, templateGeneration(draft))),
  prepareForUpdate: (draft, old) => {
    const changed = !semanticEqual(draft.spec.template, old.spec.template)
    setTemplateGeneration(draft, templateGeneration(old) + (changed ? 1 : 0))
  },
  columns: [
    nameColumn,
    column('Desired', 'Nodes that should run a pod', { type: 'integer' }),
    column('Current', 'Nodes that should run a pod and do', { type: 'integer' }),
    column('Ready', 'Nodes whose pod is ready', { type: 'integer' }),
    column('Up-to-date', 'Nodes whose pod was made from the present template', { type: 'integer' }),
    column('Available', 'Nodes whose pod has been ready long enough', { type: 'integer' }),
    column('Node Selector', 'Labels of the nodes that run a pod'),
    ageColumn,
    ...templateColumns,
  ],
  row: daemonSetRow,
}

function defaultDaemonSet({ spec }: DaemonSet): void {
  if (spec === undefined) return
  defaultPodTemplate(spec.template)
  const strategy = (spec.updateStrategy ??= {})
  strategy.type = strategy.type || 'RollingUpdate'
  if (strategy.type === 'RollingUpdate') {
    strategy.rollingUpdate ??= {}
    strategy.rollingUpdate.maxUnavailable ??= 1
    strategy.rollingUpdate.maxSurge ??= 0
  }
  spec.revisionHistoryLimit ??= 10
}

function templateGeneration(daemonSet: Readonly<DaemonSet>): number {
  const value = Number(daemonSet.metadata.annotations?.[TEMPLATE_GENERATION] ?? 0)
  return Number.isSafeInteger(value) ? value : 0
}

function setTemplateGeneration(draft: DaemonSet, generation: number): void {
  draft.metadata.annotations = { ...draft.metadata.annotations, [TEMPLATE_GENERATION]: String(generation) }
}

function daemonSetRow({ metadata, spec, status }: Readonly<DaemonSet>, nowMs: number): unknown[] {
  const pod = spec.template.spec
  return [
    metadata.name,
    status?.desiredNumberScheduled ?? 0,
    status?.currentNumberScheduled ?? 0,
    status?.numberReady ?? 0,
    status?.updatedNumberScheduled ?? 0,
    status?.numberAvailable ?? 0,
    formatLabels(pod?.nodeSelector),
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(pod?.containers),
    containerImages(pod?.containers),
    formatSelector(spec.selector),
  ]
}
