import type { Pod } from '../../generated/types/core/v1.ts'
import type { KindBehavior } from '../behavior.ts'
import { defaultHostNetworkPorts, defaultRequestsFromLimits } from './default-containers.ts'
import { defaultPodSpec } from './default-spec.ts'
import { isPodTerminal } from './phase.ts'
import { preparePodForCreate, preparePodForStatusUpdate, preparePodForUpdate } from './prepare.ts'
import { podColumns, podRow } from './table.ts'
import { validatePod, validatePodCreate } from './validate.ts'
import { validatePodStatusUpdate } from './validate-status.ts'
import { validatePodUpdate } from './validate-update.ts'
import { podWarnings } from './warnings.ts'

const SELECTABLE = [
  'spec.hostNetwork',
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.schedulerName',
  'spec.serviceAccountName',
  'status.nominatedNodeName',
  'status.phase',
  'status.podIP',
] as const

/** Pods. Source: pkg/registry/core/pod/strategy.go and pkg/apis/core/v1/defaults.go v1.37. */
export const podBehavior: KindBehavior<Pod> = {
  setDefaults: defaultPod,
  prepareForCreate: preparePodForCreate,
  prepareForUpdate: preparePodForUpdate,
  prepareForStatusUpdate: preparePodForStatusUpdate,
  validate: validatePod,
  validateCreate: validatePodCreate,
  validateUpdate: validatePodUpdate,
  validateStatusUpdate: validatePodStatusUpdate,
  warnings: podWarnings,
  selectableFields: podSelectableFields,
  selectableFieldNames: SELECTABLE,
  columns: podColumns,
  row: podRow,
  defaultGraceSeconds: podGraceSeconds,
}

function defaultPod(draft: Pod): void {
  const spec = draft.spec
  if (spec !== undefined) {
    // Requests are copied from limits that are already rounded.
    defaultPodSpec(spec)
    if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1
    defaultRequestsFromLimits(spec.containers)
    defaultRequestsFromLimits(spec.initContainers)
    spec.enableServiceLinks ??= true
    if (spec.hostNetwork === true) defaultHostNetworkPorts(spec)
  }
  const status = draft.status
  if (status?.podIP) {
    if (status.podIPs?.[0]?.ip !== status.podIP) status.podIPs = [{ ip: status.podIP }]
  } else if (status?.podIPs?.[0] !== undefined) {
    status.podIP = status.podIPs[0].ip
  }
}

function podSelectableFields(pod: Readonly<Pod>): Record<(typeof SELECTABLE)[number], string> {
  return {
    'spec.hostNetwork': String(pod.spec?.hostNetwork ?? false),
    'spec.nodeName': pod.spec?.nodeName ?? '',
    'spec.restartPolicy': pod.spec?.restartPolicy ?? '',
    'spec.schedulerName': pod.spec?.schedulerName ?? '',
    'spec.serviceAccountName': pod.spec?.serviceAccountName ?? '',
    'status.nominatedNodeName': pod.status?.nominatedNodeName ?? '',
    'status.phase': pod.status?.phase ?? '',
    'status.podIP': pod.status?.podIPs?.[0]?.ip ?? '',
  }
}

/** Source: podStrategy.CheckGracefulDelete. A pod that no node runs, or that has ended, goes at once. */
function podGraceSeconds(pod: Readonly<Pod>): number {
  if (!pod.spec?.nodeName || isPodTerminal(pod)) return 0
  const seconds = pod.spec.terminationGracePeriodSeconds ?? 0
  return seconds < 0 ? 1 : seconds
}
