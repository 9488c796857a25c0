import { behaviorOf, isStatus } from '@centaurus/api'
import { DEFAULT_VPC, vpcs } from '@centaurus/api/centaurus/v1'
import type { Client } from '@centaurus/client'
import { DEFAULT_SERVICE_RANGE } from '../admission/service-allocation.ts'
import { ownDefinitions } from '../crd/custom-definition.ts'
import type { CreateExtension } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { clusterNetworkPolicyDefinition } from './cluster-network-policy.ts'
import {
  identityDefinition,
  networkReportDefinition,
  remoteNodeDefinition,
  subnetDefinition,
  vpcDefinition,
} from './definitions.ts'
import { defaultVpcStays, egressAddressesOfOperators, podNetwork } from './network-admission.ts'
import { networkQuality } from './quality-admission.ts'
import { createVpcAddresses } from './vpc-admission.ts'

export interface NetworkOptions {
  /** Whether pods of the `system` tenant live here, and not copies of them alone; default true. */
  readonly hostsSystem?: boolean | undefined
  /** Where addresses of Services are, in all partitions; default: the range of a server that names none. */
  readonly serviceRanges?: (() => readonly string[]) | undefined
}

/**
 * Serves what pod networks are told by: Vpcs, NetworkIdentities, Subnets and RemoteNodes of `centaurus.io/v1`, and ClusterNetworkPolicies. Each
 * tenant begins with a Vpc `default`; controllers of its partition give it a number.
 */
export function createNetworkExtension({
  hostsSystem = true,
  serviceRanges = () => [DEFAULT_SERVICE_RANGE],
}: NetworkOptions = {}): CreateExtension {
  return ({ registry, clientOf }) => {
    const definitions = [
      vpcDefinition,
      subnetDefinition,
      identityDefinition,
      remoteNodeDefinition,
      networkReportDefinition,
      clusterNetworkPolicyDefinition,
    ]
    registry.change({ added: definitions.flatMap(ownDefinitions).map(withBehavior) })
    return {
      admission: [
        podNetwork,
        networkQuality,
        defaultVpcStays,
        egressAddressesOfOperators,
        createVpcAddresses(serviceRanges),
      ],
      bootstrapTenant: (tenant) => ensureDefaultVpc(clientOf(tenant)),
      async start() {
        if (hostsSystem) await ensureDefaultVpc(clientOf(SYSTEM_TENANT))
      },
    }
  }
}

function withBehavior(definition: ResourceDefinition): ResourceDefinition {
  const { group, kind } = definition.info
  return { ...definition, behavior: { ...definition.behavior, ...behaviorOf(group, kind) } }
}

async function ensureDefaultVpc(client: Client): Promise<void> {
  try {
    await client.get(vpcs, { name: DEFAULT_VPC })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
    await create(client)
  }
}

async function create(client: Client): Promise<void> {
  try {
    await client.create(vpcs, { metadata: { name: DEFAULT_VPC } })
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error // another server was quicker
  }
}
