import type { Namespace } from '../../generated/types/core/v1.ts'
import { checkDnsLabel, checkQualifiedName } from '../../meta/names.ts'
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import { invalidFor } from '../shared/check.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const NAME_LABEL = 'kubernetes.io/metadata.name'
const FINALIZER = 'kubernetes'
const STANDARD_FINALIZERS = [FINALIZER, 'orphan', 'foregroundDeletion']

/** Namespaces. Source: pkg/registry/core/namespace/strategy.go and SetDefaults_Namespace, pkg/apis/core/v1 v1.37. */
export const namespaceBehavior: KindBehavior<Namespace> = {
  nameRule: checkDnsLabel,
  hasGeneration: false,
  setDefaults: (draft) => {
    labelWithName(draft)
    if (draft.status !== undefined) draft.status.phase = draft.status.phase || 'Active'
  },
  prepareForCreate: (draft) => {
    labelWithName(draft)
    draft.status = { phase: 'Active' }
    const finalizers = draft.spec?.finalizers ?? []
    draft.spec = { ...draft.spec, finalizers: finalizers.includes(FINALIZER) ? finalizers : [...finalizers, FINALIZER] }
  },
  prepareForUpdate: (draft, old) => {
    labelWithName(draft)
    // Only the subresource `finalize` may change them.
    if (old.spec?.finalizers !== undefined) draft.spec = { ...draft.spec, finalizers: [...old.spec.finalizers] }
    else delete draft.spec?.finalizers
  },
  validate: ({ spec }) => (spec?.finalizers ?? []).flatMap(validateFinalizer),
  validateStatusUpdate: validateNamespaceStatusUpdate,
  selectableFields: ({ metadata, status }) => ({ name: metadata.name ?? '', 'status.phase': status?.phase ?? '' }),
  selectableFieldNames: ['name', 'status.phase'],
  columns: [nameColumn, column('Status', 'Active, or Terminating while its objects are deleted'), ageColumn],
  row: ({ metadata, status }, nowMs) => [
    metadata.name,
    status?.phase ?? '',
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** A namespace that still waits for its generated name gets the label later. */
function labelWithName({ metadata }: Namespace): void {
  if (metadata.name) metadata.labels = { ...metadata.labels, [NAME_LABEL]: metadata.name }
}

/** Source: validateFinalizerName, pkg/apis/core/validation v1.37. */
function validateFinalizer(name: string): FieldError[] {
  const path = new FieldPath('spec.finalizers')
  const errors = invalidFor(path, name, checkQualifiedName(name))
  if (name.includes('/') || STANDARD_FINALIZERS.includes(name)) return errors
  return [...errors, invalid(path, name, 'name is neither a standard finalizer name nor is it fully qualified')]
}

/** Source: ValidateNamespaceStatusUpdate. */
function validateNamespaceStatusUpdate({ metadata, status }: Readonly<Namespace>): FieldError[] {
  const path = new FieldPath('status.Phase')
  const phase = status?.phase ?? ''
  if (metadata.deletionTimestamp === undefined) {
    return phase === 'Active' ? [] : [invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")]
  }
  return phase === 'Terminating'
    ? []
    : [invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
}
