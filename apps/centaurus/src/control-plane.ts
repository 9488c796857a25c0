import {
  createAccessExtension,
  createApiServicesExtension,
  createApiServer,
  createCrdExtension,
  createDiscoveryExtension,
  createKubeconfig,
  createOpenApiExtension,
  createProxyExtension,
  createTokenSigner,
  fillTokenSecret,
  isInQuotaScope,
  KUBELET_CLIENT_IDENTITY,
  quotaUsageOf,
  SYSTEM_TENANT,
  type ApiServer,
  type ClusterCertificates,
  type CreateExtension,
  type TokenSigner,
  type UserInfo,
} from '@centaurus/apiserver'
import { parseCertificateRequest, signCertificateRequest } from '@centaurus/apiserver/certificates'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import {
  discoverFrom,
  localStorageClass,
  startControllers,
  type ControllerDeps,
  type ControllerInputs,
} from '@centaurus/controllers'
import { startScheduler } from '@centaurus/scheduler'
import type { Store } from '@centaurus/store'
import { readDescriptions } from './descriptions.ts'

/** User of the administrator's kubeconfig: member of `system:masters`. */
const ADMIN = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }

export interface ControlPlaneOptions {
  readonly store: Store
  readonly certificates: ClusterCertificates
  /** 0: any free port. */
  readonly port: number
  /** Address to listen on; absent: all. */
  readonly host?: string | undefined
  /** Address at which pods and nodes reach the API server. */
  readonly advertiseAddress: string
  /** Host part of the kubeconfig's URL; default 127.0.0.1. */
  readonly clientHost?: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** API server, controllers and scheduler of one partition in this process. */
export interface ControlPlane {
  readonly server: ApiServer
  readonly port: number
  readonly url: string
  /** Acts as the server itself: may do everything. */
  readonly client: Client
  /** YAML for an administrator. */
  readonly kubeconfig: string
  /** Ends everything but the store, which is the caller's. */
  close(): Promise<void>
}

/** Starts them; ready when it resolves. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { store, certificates, clock, random, logger } = options
  const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
  const extensions = await createExtensions(options, signer)
  const server = createApiServer({
    store,
    clock,
    random,
    logger,
    extensions,
    admission: {
      advertiseAddress: options.advertiseAddress,
      advertisePort: options.port,
      storageClass: localStorageClass,
    },
  })
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
  const parts = startParts(server, options, signer)
  const url = `https://${options.clientHost ?? '127.0.0.1'}:${listener.port}`
  const admin = await certificates.client('admin', ADMIN)
  return {
    server,
    port: listener.port,
    url,
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

/** What is served beyond the built-in kinds, in the order in which it is asked. */
export async function createExtensions(
  { certificates, advertiseAddress, port }: Pick<ControlPlaneOptions, 'certificates' | 'advertiseAddress' | 'port'>,
  signer: TokenSigner,
): Promise<CreateExtension[]> {
  const toNodes = await certificates.client('apiserver-kubelet-client', KUBELET_CLIENT_IDENTITY)
  return [
    createAccessExtension({ signer }),
    createDiscoveryExtension({ serverAddress: `${advertiseAddress}:${port}` }),
    createOpenApiExtension({ descriptions: readDescriptions }),
    createCrdExtension(),
    createApiServicesExtension(),
    createProxyExtension({
      tls: { ca: certificates.authority.certificatePem, cert: toNodes.certificatePem, key: toNodes.keyPem },
    }),
  ]
}

/** Controllers and scheduler share one set of informers, over a client that shares the server's own decoded objects. */
function startParts(server: ApiServer, options: ControlPlaneOptions, signer: TokenSigner): { close(): Promise<void> } {
  const { clock, random, logger } = options
  const informers = createInformerFactory(server.client(), { clock, random, logger })
  const deps = { informers, clock, random, logger }
  const controllers = startControllers({
    ...deps,
    ...controllerInputs(server, options, signer),
    client: server.client(componentUser('kube-controller-manager')),
  })
  const scheduler = startScheduler({ ...deps, client: server.client(componentUser('kube-scheduler')) })
  return {
    async close() {
      await Promise.all([controllers.close(), scheduler.close()])
      await informers.close()
    },
  }
}

/** What controllers need of the server that they belong to. */
export function controllerInputs(
  server: ApiServer,
  { certificates, clock }: Pick<ControlPlaneOptions, 'certificates' | 'clock'>,
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
