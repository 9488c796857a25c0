import { deepEqual } from '@centaurus/api'
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from '@centaurus/api/apiextensions/v1'

/** Kept on a definition until its objects are gone. Source: apiextensions v1 types.go CustomResourceCleanupFinalizer. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

export type ConditionType = 'NamesAccepted' | 'Established' | 'Terminating'

/**
 * What the definition's status should say about its names, or undefined when it says so already. `others` are the other definitions
 * of the group: what they have accepted is taken. Pure.
 * Source: apiextensions-apiserver pkg/controller/status/naming_controller.go and establish (v0.37). Ours establishes at once, since
 * this server serves the resource before it says so.
 */
export function planNames(
  crd: Readonly<CustomResourceDefinition>,
  others: readonly Readonly<CustomResourceDefinition>[],
  now: string,
): CustomResourceDefinitionStatus | undefined {
  const status = crd.status ?? {}
  const { names, problem } = acceptNames(crd, others)
  const accepted = setCondition(
    status.conditions ?? [],
    problem === undefined
      ? { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }
      : { type: 'NamesAccepted', status: 'False', ...problem },
    now,
  )
  const conditions = isConditionTrue(status, 'Established')
    ? accepted
    : setCondition(accepted, establishedCondition(problem === undefined), now)
  const planned: CustomResourceDefinitionStatus = { ...status, acceptedNames: names, conditions }
  return deepEqual(planned, status) ? undefined : planned
}

/** True when the server may serve the definition's resource. */
export function isEstablished(crd: Readonly<CustomResourceDefinition>): boolean {
  return isConditionTrue(crd.status ?? {}, 'Established')
}

export function isConditionTrue(status: Readonly<CustomResourceDefinitionStatus>, type: ConditionType): boolean {
  return status.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
}

/** The conditions with this one in the place of its type; its transition time stays while its status does. */
export function setCondition(
  conditions: readonly CustomResourceDefinitionCondition[],
  condition: Omit<CustomResourceDefinitionCondition, 'lastTransitionTime'> & { readonly type: ConditionType },
  now: string,
): CustomResourceDefinitionCondition[] {
  const old = conditions.find((entry) => entry.type === condition.type)
  const lastTransitionTime = old?.status === condition.status ? (old.lastTransitionTime ?? now) : now
  const entry = { lastTransitionTime, ...condition }
  if (old === undefined) return [...conditions, entry]
  return conditions.map((existing) => (existing.type === condition.type ? { ...existing, ...entry } : existing))
}

function establishedCondition(
  isAccepted: boolean,
): Omit<CustomResourceDefinitionCondition, 'lastTransitionTime'> & { type: 'Established' } {
  if (isAccepted) {
    return {
      type: 'Established',
      status: 'True',
      reason: 'InitialNamesAccepted',
      message: 'the initial names have been accepted',
    }
  }
  return { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
}

interface Acceptance {
  readonly names: CustomResourceDefinitionNames
  readonly problem: { readonly reason: string; readonly message: string } | undefined
}

function acceptNames(
  crd: Readonly<CustomResourceDefinition>,
  others: readonly Readonly<CustomResourceDefinition>[],
): Acceptance {
  const taken = others.map((other) => other.status?.acceptedNames).filter((names) => names !== undefined)
  const resources = new Set(taken.flatMap((names) => [names.plural, names.singular ?? '', ...(names.shortNames ?? [])]))
  const kinds = new Set(taken.flatMap((names) => [names.kind, names.listKind ?? '']))
  const { names: wanted } = crd.spec
  const held: CustomResourceDefinitionNames = crd.status?.acceptedNames ?? { plural: '', kind: '' }
  const names: CustomResourceDefinitionNames = { ...held }
  let problem: Acceptance['problem']
  const accept = (
    field: 'plural' | 'singular' | 'kind' | 'listKind',
    used: ReadonlySet<string>,
    reason: string,
  ): void => {
    const name = wanted[field] ?? ''
    if (name !== held[field] && used.has(name))
      problem = { reason, message: `${JSON.stringify(name)} is already in use` }
    else names[field] = name
  }
  accept('plural', resources, 'PluralConflict')
  accept('singular', resources, 'SingularConflict')
  const clashing = (wanted.shortNames ?? []).filter(
    (name) => !(held.shortNames ?? []).includes(name) && resources.has(name),
  )
  if (clashing.length > 0) {
    problem = {
      reason: 'ShortNamesConflict',
      message: clashing.map((name) => `${JSON.stringify(name)} is already in use`).join(', '),
    }
  } else copyList(names, wanted, 'shortNames')
  accept('kind', kinds, 'KindConflict')
  accept('listKind', kinds, 'ListKindConflict')
  copyList(names, wanted, 'categories')
  return { names, problem }
}

function copyList(
  names: CustomResourceDefinitionNames,
  wanted: CustomResourceDefinitionNames,
  field: 'shortNames' | 'categories',
): void {
  if (wanted[field] === undefined) delete names[field]
  else names[field] = wanted[field]
}
