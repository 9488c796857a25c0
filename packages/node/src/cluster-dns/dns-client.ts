import { BlockList } from 'node:net'
import { splitQualifiedName, SYSTEM_TENANT, TENANT_ANNOTATION } from '@centaurus/api'
import type { SandboxDetail } from '../runtime/container-runtime.ts'

/** Who asks for names. */
export type DnsClient =
  /** A pod of the `system` tenant, or a program of the host: the operators' names, and those of tenants with their tenant in them. */
  | { readonly type: 'operator' }
  /** A pod of a tenant: names of that tenant alone. */
  | { readonly type: 'tenant'; readonly tenant: string }
  /** An address of pods where none is known, or whose tenant nobody knows: who asks again may be known by then. */
  | { readonly type: 'unknown' }

export interface DnsClientsOptions {
  /** What runs at an address of this host. */
  readonly sandboxAt: (address: string) => Pick<SandboxDetail, 'podNamespace' | 'annotations'> | undefined
  /** Addresses of this host's pods. */
  readonly podCIDR: string
}

/** Tells pods by their addresses, which they can't choose. Pods in the host's network are the host. */
export function createDnsClients({ sandboxAt, podCIDR }: DnsClientsOptions): (address: string) => DnsClient {
  const [network = '', bits = ''] = podCIDR.split('/')
  const ofPods = new BlockList()
  ofPods.addSubnet(network, Number(bits))
  return (address) => {
    const sandbox = sandboxAt(address)
    if (sandbox === undefined) return ofPods.check(address) ? { type: 'unknown' } : { type: 'operator' }
    const { annotations, podNamespace } = sandbox
    const tenant = annotations[TENANT_ANNOTATION] ?? splitQualifiedName(podNamespace)?.tenant
    if (tenant === undefined) return { type: 'unknown' }
    return tenant === SYSTEM_TENANT ? { type: 'operator' } : { type: 'tenant', tenant }
  }
}
