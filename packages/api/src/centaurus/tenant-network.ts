/** What operators say of the packets of a tenant's pods: `Tenant.spec.network`. */
import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { invalid, type FieldError, type FieldPath } from '../status/field-error.ts'
import { parseBandwidth } from './bandwidth.ts'
import { SYSTEM_TENANT } from './names.ts'
import {
  DEFAULT_QUALITY,
  isBetter,
  NETWORK_CLASSES,
  NETWORK_PRIORITIES,
  type NetworkClass,
  type NetworkPriority,
  type QualityWish,
  type TenantQuality,
} from './network-quality.ts'

const BANDWIDTHS = ['egressBandwidth', 'ingressBandwidth'] as const

/** Bandwidths are quantities of bits a second. */
export interface TenantNetwork {
  /** Of pods that say nothing; default `best-effort`. */
  class?: NetworkClass | undefined
  /** Default `medium`. */
  priority?: NetworkPriority | undefined
  /** Of each pod, such as `100M`; absent: no limit. */
  egressBandwidth?: string | undefined
  ingressBandwidth?: string | undefined
  /** The most that a pod may have, whatever it or its namespace say. */
  max?: TenantNetworkMax | undefined
}

/** A pod may have everything that is not better than both words together: `expedited` and `medium` allow `best-effort` and `high` too. */
export interface TenantNetworkMax {
  /** Default `best-effort`. */
  class?: NetworkClass | undefined
  /** Default `medium`. */
  priority?: NetworkPriority | undefined
  /** Absent: pods may be as fast as they can. */
  egressBandwidth?: string | undefined
  ingressBandwidth?: string | undefined
}

const WORDS: Readonly<Record<string, JSONSchemaProps>> = {
  class: { type: 'string', enum: [...NETWORK_CLASSES], description: 'Default best-effort.' },
  priority: { type: 'string', enum: [...NETWORK_PRIORITIES], description: 'Default medium.' },
  egressBandwidth: {
    type: 'string',
    maxLength: 64,
    description: 'Bits a second that each pod sends, such as 100M. Default: no limit.',
  },
  ingressBandwidth: {
    type: 'string',
    maxLength: 64,
    description: 'Bits a second that each pod receives. Default: no limit.',
  },
}

/** In the words of a CustomResourceDefinition. */
export const TENANT_NETWORK_SCHEMA: JSONSchemaProps = {
  type: 'object',
  description: "How the tenant's pods use the network when neither they nor their namespaces say it.",
  properties: {
    ...WORDS,
    max: {
      type: 'object',
      description: 'The most that a pod of it may have: by default best-effort and medium, and as fast as it can.',
      properties: WORDS,
    },
  },
}

/** Of operators' own pods. */
export const SYSTEM_QUALITY: TenantQuality = Object.freeze({ defaults: Object.freeze({}), max: undefined })

/** What the operators' words mean; `system` is theirs and has no limits. */
export function tenantQualityOf(tenant: string, network: Readonly<TenantNetwork> | undefined): TenantQuality {
  if (tenant === SYSTEM_TENANT) return SYSTEM_QUALITY
  return { defaults: wishOf(network), max: { ...DEFAULT_QUALITY, ...wishOf(network?.max) } }
}

/** What is wrong with it. */
export function validateTenantNetwork(network: Readonly<TenantNetwork>, path: FieldPath): FieldError[] {
  const { max } = network
  const errors = [...checkBandwidths(network, path), ...checkBandwidths(max ?? {}, path.child('max'))]
  const granted = { ...DEFAULT_QUALITY, ...wishOf(max) }
  const given = { ...DEFAULT_QUALITY, ...wishOf(network) }
  const name = network.class === undefined ? 'priority' : 'class'
  if (network[name] !== undefined && isBetter(given, granted)) {
    const most = `${granted.networkClass} and ${granted.priority}`
    const why = `pods would have ${given.networkClass} and ${given.priority}, and \`max\` grants ${most} (by default best-effort and medium)`
    errors.push(invalid(path.child(name), network[name], why))
  }
  for (const name of BANDWIDTHS)
    if ((given[name] ?? 0) > (granted[name] ?? Infinity))
      errors.push(invalid(path.child(name), network[name], `\`max\` grants ${max?.[name]}`))
  return errors
}

function wishOf(words: Readonly<TenantNetworkMax> | undefined): QualityWish {
  const egressBandwidth = parseBandwidth(words?.egressBandwidth)
  const ingressBandwidth = parseBandwidth(words?.ingressBandwidth)
  return {
    ...(words?.class === undefined ? {} : { networkClass: words.class }),
    ...(words?.priority === undefined ? {} : { priority: words.priority }),
    ...(typeof egressBandwidth === 'number' ? { egressBandwidth } : {}),
    ...(typeof ingressBandwidth === 'number' ? { ingressBandwidth } : {}),
  }
}

function checkBandwidths(words: Readonly<TenantNetworkMax>, path: FieldPath): FieldError[] {
  return BANDWIDTHS.flatMap((name) => {
    const parsed = parseBandwidth(words[name])
    return typeof parsed === 'object' ? [invalid(path.child(name), words[name], parsed.detail)] : []
  })
}
