import {
  createApiServer,
  createKubeconfig,
  createTokenSigner,
  type ApiServer,
  type ClusterCertificates,
  type OidcOptions,
  type TokenSigner,
} from '@centaurus/apiserver'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { localStorageClass } from '@centaurus/controllers'
import { createMembership, startEndpointReporter, startMembershipSync, type Membership } from '@centaurus/partition'
import type { Store } from '@centaurus/store'
import { createExtensions, partitionExtensions, peerUsage, reachNodes } from './control-plane/extensions.ts'
import { lead, type Closable } from './control-plane/leadership.ts'
import { SINGLE_PARTITION, type PartitionSetup } from './control-plane/partition-setup.ts'
import { startParts } from './control-plane/parts.ts'
import { connectHome, ensureHomePartition } from './control-plane/registry.ts'
import { createShared, type PartitionShared } from './control-plane/shared.ts'

/** User of the administrator's kubeconfig: member of `system:masters`. */
export const ADMIN = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }

export interface ControlPlaneOptions {
  readonly store: Store
  readonly certificates: ClusterCertificates
  /** 0: any free port. */
  readonly port: number
  /** Address to listen on; absent: all. */
  readonly host?: string | undefined
  /** Address at which pods and nodes reach the API server. */
  readonly advertiseAddress: string
  /** Where hosts answer their pods' DNS queries; absent: nobody does. */
  readonly clusterDns?: string | undefined
  /** Host part of the kubeconfig's URL; default 127.0.0.1. */
  readonly clientHost?: string | undefined
  /** Its place among the partitions of the cluster; default: the only one. */
  readonly partition?: PartitionSetup | undefined
  /** OpenID Connect issuers whose tokens are believed; default none. */
  readonly oidc?: readonly OidcOptions[] | undefined
  /** Networks, as CIDRs, to which tenants' webhooks may lead beside public addresses; default none. */
  readonly tenantWebhookNetworks?: readonly string[] | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** API server, controllers and scheduler of one partition in this process. */
export interface ControlPlane {
  readonly server: ApiServer
  readonly port: number
  readonly url: string
  /** Who is in the cluster. */
  readonly membership: Membership
  /** Acts as the server itself: may do everything. */
  readonly client: Client
  /** YAML for an administrator. */
  readonly kubeconfig: string
  /** Ends everything but the store, which is the caller's. */
  close(): Promise<void>
}

/** Starts them; ready when it resolves. A partition that is not home need not reach home for it. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { store, certificates, clock, random, logger, partition = SINGLE_PARTITION } = options
  const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
  const shared = await createShared({ ...options, partition })
  const server = createApiServer({
    store,
    clock,
    random,
    logger,
    partition: partition.name,
    extensions: await createExtensions(
      {
        ...options,
        more: partitionExtensions({ ...options, partition, shared }),
        reach: reachNodes(partition, shared),
        usage: peerUsage(partition, shared),
      },
      signer,
    ),
    admission: {
      advertiseAddress: options.advertiseAddress,
      advertisePort: options.port,
      clusterDns: options.clusterDns,
      storageClass: localStorageClass,
      serviceRange: partition.serviceRange,
      nodePorts: shared.nodePorts,
      tenantWebhookNetworks: options.tenantWebhookNetworks,
    },
  })
  const membership = createMembership(server.reader, partition.name)
  shared.join(membership)
  await server.start()
  const listener = await server.listen({
    port: options.port,
    ...(options.host === undefined ? {} : { host: options.host }),
    tls: {
      key: certificates.serving.keyPem,
      certificate: certificates.serving.certificatePem,
      clientAuthority: certificates.authority.certificatePem,
    },
  })
  const parts = await startPartition(server, { ...options, membership, partition, shared, signer, port: listener.port })
  const url = `https://${options.clientHost ?? '127.0.0.1'}:${listener.port}`
  const admin = await certificates.client('admin', ADMIN)
  return {
    server,
    port: listener.port,
    url,
    membership,
    client: server.client(),
    kubeconfig: createKubeconfig({
      server: url,
      ca: certificates.authority.certificatePem,
      cert: admin.certificatePem,
      key: admin.keyPem,
    }),
    async close() {
      await parts.close()
      await server.close()
    },
  }
}

interface StartPartitionOptions extends ControlPlaneOptions {
  readonly partition: PartitionSetup
  readonly shared: PartitionShared
  readonly membership: Membership
  readonly signer: TokenSigner
}

/** What makes an API server a partition: the registry, and the parts that only one of its servers runs. */
async function startPartition(server: ApiServer, options: StartPartitionOptions): Promise<Closable> {
  const { store, partition, shared, membership } = options
  const endpoint = `https://${formatHost(options.advertiseAddress)}:${options.port}`
  if (partition.homeEndpoints === undefined) await ensureHomePartition(server.client(), partition, endpoint)
  const home = connectHome(partition, membership, shared.identity)
  const registryClient = home ?? server.client()
  const sharesStore = partition.serverName !== undefined
  const endpoints = startEndpointReporter({ ...options, home: registryClient, endpoint, sharesStore })
  const start = async (resign: () => void): Promise<Closable> => {
    const sync = await startMembershipSync({
      ...options,
      client: server.client(),
      reader: server.reader,
      store,
      home,
      whyFenced: (peer) => shared.peers.whyFenced(peer),
    })
    const parts = await startParts(server, { ...options, registryClient, resign })
    return {
      async close() {
        await Promise.all([parts.close(), sync.close()])
      },
    }
  }
  const leading = await lead({ ...options, serverName: partition.serverName, client: server.client(), start })
  return {
    async close() {
      await Promise.all([leading.close(), endpoints.close()])
      await home?.close()
    },
  }
}

function formatHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
