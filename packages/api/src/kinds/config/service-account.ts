import type { ServiceAccount } from '../../generated/types/core/v1.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, nameColumn } from '../shared/table.ts'

/** Service accounts. Source: pkg/registry/core/serviceaccount/strategy.go v1.37. */
export const serviceAccountBehavior: KindBehavior<ServiceAccount> = {
  hasGeneration: false,
  prepareForCreate: keepSecretNames,
  prepareForUpdate: keepSecretNames,
  columns: [nameColumn, ageColumn],
  row: ({ metadata }, nowMs) => [metadata.name, formatAge(metadata.creationTimestamp, nowMs)],
}

/** References to secrets name them and nothing else. */
function keepSecretNames(draft: ServiceAccount): void {
  if (draft.secrets !== undefined) draft.secrets = draft.secrets.map(({ name }) => (name === undefined ? {} : { name }))
}
