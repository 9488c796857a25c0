import { NODES_VIEW, openClusterCertificates, SERVER_USER, type ApiServer } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom, type Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore, timedRevisions } from '@centaurus/store'
import { ADMIN, startControlPlane } from './control-plane.ts'
import { nodeIdentity, startSimulatedNodes, type SimulatedNodesOptions } from './simulated-nodes.ts'

/** Commits of history that a cluster for a test keeps: watches resume across so many writes. */
const HISTORY_REVISIONS_MAX = 100_000

/** Everything has a default that suits a test. */
export interface ClusterOptions {
  /** Nodes that pretend to run pods; default 0. */
  readonly simulatedNodes?: number | undefined
  /** Default: any free port. */
  readonly port?: number | undefined
  /** Default: nothing is logged. */
  readonly logger?: Logger | undefined
}

/** Who webhooks and policies see behind {@link Cluster.client}. */
const ADMIN_USER = {
  ...SERVER_USER,
  name: ADMIN.commonName,
  groups: [...ADMIN.organizations, 'system:authenticated'],
}

/** A cluster in this process. */
export interface Cluster {
  /** Such as `https://127.0.0.1:41873`. */
  readonly url: string
  /** YAML for kubectl, helm, `@kubernetes/client-node` …, as an administrator. */
  readonly kubeconfig: string
  /** An administrator's; shares the server's objects and encodes nothing. */
  readonly client: Client
  /** Ends everything; leaves no handle open. */
  close(): Promise<void>
}

/**
 * Starts a control plane, with simulated nodes on request, inside the caller's process: in memory, on a free port of 127.0.0.1,
 * without root. Resolves when the API answers and the nodes are registered.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const logger = options.logger ?? silentLogger
  const store = createMemoryStore({
    automaticCompaction: { revisionsMax: HISTORY_REVISIONS_MAX },
    revisions: timedRevisions(systemClock),
  })
  const certificates = await openClusterCertificates()
  const plane = await startControlPlane({
    store,
    certificates,
    port: options.port ?? 0,
    host: '127.0.0.1',
    advertiseAddress: '127.0.0.1',
    clock: systemClock,
    random: systemRandom,
    logger,
  })
  const serving = await certificates.server('node-serving', {
    commonName: 'system:node:simulated',
    alternativeNames: ['127.0.0.1'],
  })
  const tls = { key: serving.keyPem, cert: serving.certificatePem, clientCa: certificates.authority.certificatePem }
  const nodes = await startSimulatedNodes({
    ...nodeClients(plane.server),
    count: options.simulatedNodes ?? 0,
    logger,
    tls,
  })
  return {
    url: plane.url,
    kubeconfig: plane.kubeconfig,
    client: plane.server.client(ADMIN_USER),
    async close() {
      await nodes.close()
      await plane.close()
      await store.close()
    },
  }
}

/** How node agents in this process reach the server. */
export function nodeClients({ client }: ApiServer): Pick<SimulatedNodesOptions, 'client' | 'clientOf'> {
  return {
    client: client({ ...SERVER_USER, tenant: NODES_VIEW }),
    clientOf(nodeName) {
      const { user, groups } = nodeIdentity(nodeName)
      return client({ name: user, uid: '', groups, extra: {}, tenant: NODES_VIEW })
    },
  }
}
