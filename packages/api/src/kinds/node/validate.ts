import type { Node, Taint } from '../../generated/types/core/v1.ts'
import { checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import { duplicate, FieldPath, forbiddenField, invalid, type FieldError } from '../../status/field-error.ts'
import { validateResourceAmount } from '../pod/validate-resources.ts'
import { TAINT_EFFECTS } from '../pod/validate-scheduling.ts'
import { checkRequiredOneOf, invalidFor } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { checkCidr, parseCidr } from '../shared/ip.ts'

const spec = new FieldPath('spec')

/** Source: ValidateNode, pkg/apis/core/validation v1.37. */
export function validateNode(node: Readonly<Node>): FieldError[] {
  return [
    // Upstream names the metadata here, though taints are in the spec.
    ...validateTaints(node.spec?.taints ?? [], new FieldPath('metadata.taints')),
    ...validateNodeResources(node),
    ...validatePodCIDRs(node.spec?.podCIDRs ?? []),
  ]
}

/** Source: ValidateNodeUpdate. */
export function validateNodeUpdate(node: Readonly<Node>, old: Readonly<Node>): FieldError[] {
  const errors: FieldError[] = []
  const before = old.spec ?? {}
  if ((before.podCIDRs ?? []).length > 0 && !semanticEqual(before.podCIDRs, node.spec?.podCIDRs)) {
    const detail = 'node updates may not change podCIDR except from "" to valid'
    errors.push(forbiddenField(spec.child('podCIDRs'), detail))
  }
  if (before.providerID && node.spec?.providerID !== before.providerID) {
    const verb = node.spec?.providerID ? 'modified' : 'cleared'
    errors.push(invalid(spec.child('providerID'), null, `field cannot be ${verb} once set`))
  }
  if ((node.spec?.externalID ?? '') !== (before.externalID ?? '')) {
    errors.push(forbiddenField(spec.child('externalID'), 'may not be updated'))
  }
  return errors
}

/** Source: ValidateNodeUpdate, as the status strategy runs it. */
export function validateNodeStatusUpdate(node: Readonly<Node>): FieldError[] {
  const addresses = node.status?.addresses ?? []
  const path = new FieldPath('status.addresses')
  const repeated = addresses.flatMap((address, i) => {
    const isKnown = addresses.slice(0, i).some((other) => semanticEqual(other, address))
    return isKnown ? [duplicate(path.index(i), address)] : []
  })
  return [...validateNodeResources(node), ...repeated]
}

function validateNodeResources({ status }: Readonly<Node>): FieldError[] {
  return (['capacity', 'allocatable'] as const).flatMap((list) =>
    Object.entries(status?.[list] ?? {}).flatMap(([name, text]) =>
      validateResourceAmount(name, text, new FieldPath('status').child(list, name)),
    ),
  )
}

function validateTaints(taints: readonly Taint[], path: FieldPath): FieldError[] {
  const seen = new Set<string>()
  return taints.flatMap((taint, i) => {
    const at = path.index(i)
    const errors = invalidFor(at.child('key'), taint.key, checkQualifiedName(taint.key ?? ''))
    const messages = checkLabelValue(taint.value ?? '')
    if (messages.length > 0) errors.push(invalid(at.child('value'), taint.value, messages.join(';')))
    errors.push(...checkRequiredOneOf(taint.effect, at.child('effect'), TAINT_EFFECTS))
    const key = `${taint.effect}/${taint.key}`
    if (seen.has(key)) {
      const error = duplicate(at, taint)
      errors.push({ ...error, message: `${error.message}: taints must be unique by key and effect pair` })
    }
    seen.add(key)
    return errors
  })
}

function validatePodCIDRs(cidrs: readonly string[]): FieldError[] {
  const path = spec.child('podCIDRs')
  const errors = cidrs.flatMap((cidr, i) => checkCidr(cidr, path.index(i)))
  const families = cidrs.map((cidr) => parseCidr(cidr)?.ip.family)
  if (cidrs.length > 2 || (cidrs.length === 2 && families[0] === families[1])) {
    errors.push(invalid(path, cidrs, 'may specify no more than one CIDR for each IP family'))
  }
  return errors
}
