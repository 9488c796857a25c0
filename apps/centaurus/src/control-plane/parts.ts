import {
  fillTokenSecret,
  isInQuotaScope,
  quotaUsageOf,
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
 * Starts controllers and scheduler, as far as the partition's roles ask for them. They share one set of informers, over a client that
 * shares the server's own decoded objects.
 */
export function startParts(server: ApiServer, options: PartsOptions): Closable {
  const { clock, random, logger, partition, signer } = options
  const informers = createInformerFactory(server.client(), { clock, random, logger })
  const deps = { informers, clock, random, logger }
  const controllers = startControllers({
    ...deps,
    ...controllerInputs(server, options, signer),
    client: server.client(componentUser('kube-controller-manager')),
    names: controllersOf(partition.roles),
  })
  const scheduler = partition.roles.includes('Tenant')
    ? startScheduler({ ...deps, client: server.client(componentUser('kube-scheduler')) })
    : undefined
  return {
    async close() {
      await Promise.all([controllers.close(), scheduler?.close()])
      await informers.close()
    },
  }
}

/** Those that a partition with these roles runs. */
export function controllersOf(roles: readonly PartitionRole[]): ControllerName[] {
  return controllerNames.filter((name) => roles.includes(NODE_CONTROLLERS.has(name) ? 'Resource' : 'Tenant'))
}

/** What controllers need of the server that they belong to. */
export function controllerInputs(
  server: ApiServer,
  { certificates, clock }: Pick<PartsOptions, 'certificates' | 'clock'>,
  signer: TokenSigner,
): Omit<ControllerInputs, keyof ControllerDeps> {
  const caPem = certificates.authority.certificatePem
  return {
    discovery: discoverFrom(server.registry),
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
export function componentUser(name: string): UserInfo {
  return { name: `system:${name}`, uid: '', groups: ['system:authenticated'], extra: {}, tenant: SYSTEM_TENANT }
}
