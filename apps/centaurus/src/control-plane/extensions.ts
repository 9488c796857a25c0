import {
  createAccessExtension,
  createApiServicesExtension,
  createCrdExtension,
  createDiscoveryExtension,
  createOpenApiExtension,
  createProxyExtension,
  KUBELET_CLIENT_IDENTITY,
  type ClusterCertificates,
  type CreateExtension,
  type TokenSigner,
} from '@centaurus/apiserver'
import { createMembershipExtension, createRegistryExtension } from '@centaurus/partition'
import { readDescriptions } from '../descriptions.ts'
import type { PartitionSetup } from './partition-setup.ts'

export interface ExtensionsOptions {
  readonly certificates: ClusterCertificates
  readonly advertiseAddress: string
  readonly port: number
  readonly partition: PartitionSetup
}

/** What is served beyond the built-in kinds, in the order in which it is asked. */
export async function createExtensions(
  { certificates, advertiseAddress, port, partition }: ExtensionsOptions,
  signer: TokenSigner,
): Promise<CreateExtension[]> {
  const toNodes = await certificates.client('apiserver-kubelet-client', KUBELET_CLIENT_IDENTITY)
  return [
    createAccessExtension({ signer }),
    createMembershipExtension({ self: partition.name, home: partition.homeEndpoints === undefined }),
    createDiscoveryExtension({ serverAddress: `${advertiseAddress}:${port}` }),
    createOpenApiExtension({ descriptions: readDescriptions }),
    createRegistryExtension(),
    createCrdExtension(),
    createApiServicesExtension(),
    createProxyExtension({
      tls: { ca: certificates.authority.certificatePem, cert: toNodes.certificatePem, key: toNodes.keyPem },
    }),
  ]
}
