import { forbidden, SYSTEM_TENANT, type KubeObject } from '@centaurus/api'
import {
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  mutatingwebhookconfigurations,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  validatingwebhookconfigurations,
} from '@centaurus/api/admissionregistration/v1'
import type { CheckedWrite, WriteCheck } from '../extension.ts'
import type { GroupResourceName, ObjectReader } from '../resource/object-reader.ts'

/** Webhooks of one kind that a tenant may have: each may be called, with the object, for each of its writes. */
export const TENANT_WEBHOOKS_MAX = 256
/** Policies of one kind, and bindings. */
const TENANT_POLICIES_MAX = 512

const CONFIGURATIONS = [mutatingwebhookconfigurations, validatingwebhookconfigurations]
const POLICIES = [
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
]

/** Keeps a tenant from making the server work without end for each of its writes. Operators limit themselves. */
export function hookLimitChecks(reader: ObjectReader): readonly WriteCheck[] {
  const checkOf = (
    type: { readonly group: string; readonly resource: string },
    excess: (write: CheckedWrite) => string | undefined,
  ): WriteCheck => ({
    group: type.group,
    resource: type.resource,
    check(write) {
      if (write.info.tenant === SYSTEM_TENANT || write.object === undefined) return
      const why = excess(write)
      if (why !== undefined) throw forbidden(type, write.object.metadata.name ?? '', why)
    },
  })
  return [
    ...CONFIGURATIONS.map((type) => checkOf(type, (write) => excessWebhooks(reader, type, write))),
    ...POLICIES.map((type) => checkOf(type, (write) => excessPolicies(reader, type, write))),
  ]
}

interface Configuration {
  readonly webhooks?: readonly unknown[] | undefined
}

function excessWebhooks(
  reader: ObjectReader,
  type: (typeof CONFIGURATIONS)[number],
  { object, info }: CheckedWrite,
): string | undefined {
  const count = ({ webhooks }: Configuration): number => webhooks?.length ?? 0
  const own = count(object as KubeObject & Configuration)
  const others = reader
    .list(type as GroupResourceName<KubeObject & Configuration>, undefined, { tenant: info.tenant })
    .filter(({ metadata }) => metadata.name !== object?.metadata.name)
  const total = others.reduce((sum, each) => sum + count(each), own)
  return own > 0 && total > TENANT_WEBHOOKS_MAX ? `there may be at most ${TENANT_WEBHOOKS_MAX} webhooks` : undefined
}

function excessPolicies(
  reader: ObjectReader,
  type: (typeof POLICIES)[number],
  { operation, info }: CheckedWrite,
): string | undefined {
  if (operation !== 'create' || reader.count(type, { tenant: info.tenant }) < TENANT_POLICIES_MAX) return undefined
  return `there may be at most ${TENANT_POLICIES_MAX}`
}
