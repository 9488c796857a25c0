import { ALL_TENANTS } from '@centaurus/api'
import {
  fillTokenSecret,
  isInQuotaScope,
  quotaUsageOf,
  SERVER_USER,
  SYSTEM_TENANT,
  type ApiServer,
  type ClusterCertificates,
  type TokenSigner,
  type UserInfo,
} from '@centaurus/apiserver'
import { parseCertificateRequest, signCertificateRequest } from '@centaurus/apiserver/certificates'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import {
  controllerNames,
  discoverFrom,
  startControllers,
  type ControllerDeps,
  type ControllerInputs,
  type ControllerName,
} from '@centaurus/controllers'
import { createHostedInformers, type Hosting } from '@centaurus/partition'
import { startScheduler } from '@centaurus/scheduler'
import type { PartitionRole } from '@centaurus/api/centaurus/v1'
import type { Closable } from './leadership.ts'
import type { PartitionSetup } from './partition-setup.ts'

/** Controllers of what nodes are; they run where the nodes are. */
const NODE_CONTROLLERS: ReadonlySet<ControllerName> = new Set([
  'node-lifecycle-controller',
  'node-object-collector-controller',
  'certificatesigningrequest-approving-controller',
  'certificatesigningrequest-signing-controller',
  'certificatesigningrequest-cleaner-controller',
])

export interface PartsOptions {
  readonly partition: PartitionSetup
  readonly certificates: ClusterCertificates
  readonly signer: TokenSigner
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * Starts controllers and scheduler, as far as the partition's roles ask for them: one set for all of its tenants. They share one set of
 * informers, over a client that shares the server's own decoded objects.
 */
export function startParts(server: ApiServer, options: PartsOptions): Closable {
  const { clock, random, logger, partition, signer } = options
  const view = createInformerFactory(server.client({ ...SERVER_USER, tenant: ALL_TENANTS }), { clock, random, logger })
  const informers = createHostedInformers(view, hostingOf(server, partition), logger)
  const deps = { informers, clock, random, logger, ...controllerInputs(server, options, signer) }
  const running: Closable[] = []
  if (partition.roles.includes('Resource')) {
    const client = server.client(componentUser('kube-controller-manager'))
    running.push(startControllers({ ...deps, client, names: controllersOf('Resource') }))
  }
  if (partition.roles.includes('Tenant')) {
    const client = server.client(componentUser('kube-controller-manager', ALL_TENANTS))
    running.push(startControllers({ ...deps, client, names: controllersOf('Tenant') }))
    running.push(startScheduler({ ...deps, client: server.client(componentUser('kube-scheduler', ALL_TENANTS)) }))
  }
  return {
    async close() {
      await Promise.all(running.map((part) => part.close()))
      await informers.close()
    },
  }
}

/**
 * The `system` tenant of a partition that is not home holds nothing that controllers work on: pods of operators live in home, and what
 * there is of them here are copies.
 */
function hostingOf({ tenants }: ApiServer, { homeEndpoints }: PartitionSetup): Hosting {
  return {
    isHosted: (tenant) => (tenant === SYSTEM_TENANT ? homeEndpoints === undefined : tenants.isHosted(tenant)),
    onChange: (listener) => tenants.onChange(listener),
  }
}

/** Those that a partition with this role runs. */
export function controllersOf(role: PartitionRole): ControllerName[] {
  return controllerNames.filter((name) => NODE_CONTROLLERS.has(name) === (role === 'Resource'))
}

/** What controllers need of the server that they belong to. */
export function controllerInputs(
  server: ApiServer,
  { certificates, clock }: Pick<PartsOptions, 'certificates' | 'clock'>,
  signer: TokenSigner,
): Omit<ControllerInputs, keyof ControllerDeps> {
  const caPem = certificates.authority.certificatePem
  return {
    discovery: discoverFrom(server.registries.of(ALL_TENANTS)),
    rootCa: caPem,
    quotaRules: { usageOf: quotaUsageOf, isInScope: isInQuotaScope },
    fillTokenSecret: (secret, account) => fillTokenSecret(secret, account, { signer, caPem }),
    certificateSigner: {
      parse: parseCertificateRequest,
      sign: (asked) => signCertificateRequest(certificates.authority, clock, asked),
    },
  }
}

/** Who writes what in managed fields and in the log. Calls inside the process are not authorized again. */
export function componentUser(name: string, tenant: string = SYSTEM_TENANT): UserInfo {
  return { name: `system:${name}`, uid: '', groups: ['system:authenticated'], extra: {}, tenant }
}
