import type { AdmittedWrite } from '../admission/admission.ts'
import type { WriteDeps } from './write-deps.ts'

/** Lets extensions refuse a write; throws their `StatusError`. */
export function runWriteChecks(deps: WriteDeps, { request, operation, draft, old }: AdmittedWrite): void {
  if (deps.writeChecks.length === 0) return
  const { group, resource } = request.target.definition.info
  for (const check of deps.writeChecks) {
    if (check.group !== group || check.resource !== resource) continue
    check.check({
      user: request.user,
      info: request.info,
      operation,
      object: operation === 'delete' ? undefined : draft,
      old,
    })
  }
}
