import type { ControllerRevision } from '../../generated/types/apps/v1.ts'
import type { KindBehavior } from '../behavior.ts'
import { FieldPath, required } from '../../status/field-error.ts'
import { checkImmutable, checkNonNegative } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

/** Controller revisions. Source: printControllerRevision, pkg/printers/internalversion v1.37. */
export const controllerRevisionBehavior: KindBehavior<ControllerRevision> = {
  hasGeneration: false,
  validate: ({ revision }) => checkNonNegative(revision, new FieldPath('revision')),
  validateCreate: ({ data }) => (data === undefined ? [required(new FieldPath('data'), 'data is mandatory')] : []),
  validateUpdate: (now, old) => checkImmutable(now.data, old.data, new FieldPath('data')),
  columns: [
    nameColumn,
    column('Controller', 'Object that the revision belongs to'),
    column('Revision', 'Number of the revision'),
    ageColumn,
  ],
  row: (revision, nowMs) => [
    revision.metadata.name,
    controllerName(revision),
    revision.revision ?? 0,
    formatAge(revision.metadata.creationTimestamp, nowMs),
  ],
}

function controllerName({ metadata }: Readonly<ControllerRevision>): string {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true)
  if (owner === undefined) return '<none>'
  const slash = owner.apiVersion.indexOf('/')
  const group = slash < 0 ? '' : `.${owner.apiVersion.slice(0, slash)}`
  return `${owner.kind}${group}`.toLowerCase() + `/${owner.name}`
}
