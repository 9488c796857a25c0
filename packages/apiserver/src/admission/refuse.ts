import { forbidden, type StatusError } from '@centaurus/api'
import { groupResource } from '../resource/target.ts'
import type { AdmittedWrite } from './admission.ts'

/** 403 as admission words it: `pods "a" is forbidden: why`. Source: apiserver pkg/admission/errors.go NewForbidden. */
export function refuseAdmission({ request, draft }: AdmittedWrite, why: string): StatusError {
  const { name = '', generateName = '' } = draft.metadata
  return forbidden(groupResource(request.target), name === '' ? generateName : name, why)
}

/** True for a write to this resource itself, or to the named subresource. */
export function isWriteTo(
  { request, subresource }: AdmittedWrite,
  resource: { readonly group: string; readonly resource: string },
  expectedSubresource = '',
): boolean {
  const { storage } = request.target.definition
  return (
    storage.group === resource.group && storage.resource === resource.resource && subresource === expectedSubresource
  )
}
