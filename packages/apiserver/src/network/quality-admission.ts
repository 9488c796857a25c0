import {
  effectiveQuality,
  FieldPath,
  invalid,
  invalidObject,
  isBetter,
  QUALITY_ANNOTATIONS,
  quantityOfUnits,
  readQuality,
  tenantQualityOf,
  type NetworkQuality,
  type QualityWish,
} from '@centaurus/api'
import { namespaces, pods } from '@centaurus/api/core/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from '../admission/admission.ts'
import { refuseAdmission } from '../admission/refuse.ts'

const BANDWIDTHS = ['egressBandwidth', 'ingressBandwidth'] as const

/**
 * What pods, and namespaces for theirs, say of their packets must mean something, and nothing that operators have not granted the tenant, whoever writes
 * it. They may say something else at any time. What was written before and is not touched may stay: nodes give no more than is granted.
 */
export const networkQuality: AdmissionStep = {
  name: 'NetworkQuality',
  handles: (write) => write.operation !== 'delete' && isOf(write, [pods, namespaces]) && changedNames(write).length > 0,
  validate(write, context) {
    const { draft, old, request } = write
    const { wish, problems } = readQuality(draft.metadata.annotations)
    const changed = changedNames(write)
    const path = new FieldPath('metadata').child('annotations')
    const errors = problems
      .filter(({ annotations }) => annotations.some((name) => changed.includes(name)))
      .map(({ annotations, value, detail }) => invalid(path.key(annotations.at(-1)!), value, detail))
    if (errors.length > 0) {
      const { info } = request.target.definition
      throw invalidObject(info, draft.metadata.name ?? '', errors)
    }
    const why = whyNotGranted(write, { wish, before: readQuality(old?.metadata.annotations).wish }, context)
    if (why.length > 0) throw refuseAdmission(write, why.join('; '))
  },
}

/** What the wish asks for beyond what the tenant has, of what it did not say before. */
function whyNotGranted(
  write: AdmittedWrite,
  { wish, before }: { readonly wish: QualityWish; readonly before: QualityWish },
  { tenants, reader }: AdmissionContext,
): string[] {
  const { tenant } = write.request.target
  const { defaults, max } = tenantQualityOf(tenant, tenants.find(tenant)?.network)
  if (max === undefined) return []
  const namespace = isOf(write, [pods])
    ? reader.get(namespaces, { name: write.draft.metadata.namespace ?? '' }, { tenant })
    : undefined
  const asked = effectiveQuality([wish, readQuality(namespace?.metadata.annotations).wish, defaults], undefined)
  const said = (name: keyof NetworkQuality): boolean => wish[name] !== undefined && wish[name] !== before[name]
  const why: string[] = []
  if ((said('networkClass') || said('priority')) && isBetter(asked, max))
    why.push(
      `network class ${asked.networkClass} with priority ${asked.priority} is more than ${max.networkClass} with ${max.priority}, which tenant ${tenant} may have`,
    )
  for (const name of BANDWIDTHS) {
    const most = max[name]
    if (!said(name) || most === undefined || asked[name]! <= most) continue
    const direction = name === 'egressBandwidth' ? 'egress' : 'ingress'
    const [wanted, granted] = [asked[name]!, most].map((bits) => quantityOfUnits(bits).text)
    why.push(
      `${direction} bandwidth ${wanted} is more than ${granted} bits a second, which each pod of tenant ${tenant} may have`,
    )
  }
  return why.length === 0
    ? []
    : [...why, 'ask for less, or ask the operators of the cluster, who grant more with Tenant.spec.network.max']
}

function changedNames({ draft, old }: AdmittedWrite): string[] {
  const [now, before] = [draft.metadata.annotations, old?.metadata.annotations]
  if (now === undefined || now === before) return []
  return QUALITY_ANNOTATIONS.filter((name) => now[name] !== before?.[name])
}

/** Subresources too: some let annotations be written. */
function isOf(
  { request }: AdmittedWrite,
  types: readonly { readonly group: string; readonly resource: string }[],
): boolean {
  const { storage } = request.target.definition
  return types.some(({ group, resource }) => storage.group === group && storage.resource === resource)
}
