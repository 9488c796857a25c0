import type { ApiServerCore, ApiServerExtension, CreateExtension } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import { clusterroles } from '@centaurus/api/rbac/v1'
import { BootstrapTokenCleaner } from '../tokens/bootstrap-token-cleaner.ts'
import { createBootstrapTokenAuthenticator } from '../tokens/bootstrap-token.ts'
import { createOpenIdRoutes } from '../tokens/openid-metadata.ts'
import type { TokenSigner } from '../tokens/signing-key.ts'
import { createTokenAuthenticator } from '../tokens/token-authenticator.ts'
import { isView, NODES_VIEW } from '../views/view-names.ts'
import { createTokenRequestAction } from '../tokens/token-request.ts'
import type { Authenticator } from './access.ts'
import { createCertificateAuthenticator } from './authentication/client-certificate.ts'
import { createFrontProxyAuthenticator } from './authentication/front-proxy.ts'
import { createOidcAuthenticator, type OidcOptions } from './authentication/oidc.ts'
import { createTenantBoundary, createUnionAuthorizer, mastersAuthorizer } from './authorizer.ts'
import { createNodeAuthorizer } from './node/node-authorizer.ts'
import { followNodeGraph, type NodeGraph } from './node/node-graph.ts'
import { createNodeRestriction } from './node/node-restriction.ts'
import { createEscalationChecks } from './rbac/escalation.ts'
import { reconcileAggregation, reconcileDefaultRbac, type RbacReconcileDeps } from './rbac/reconcile.ts'
import { TenantPolicies } from './rbac/tenant-policies.ts'
import { createReviewActions } from './reviews.ts'

/** Source: kubeadm's --service-account-issuer. */
export const DEFAULT_ISSUER = 'https://kubernetes.default.svc.cluster.local'

export interface AccessOptions {
  /** Signs and checks service-account tokens. */
  readonly signer: TokenSigner
  /** Default {@link DEFAULT_ISSUER}; also the audience of the API server. */
  readonly issuer?: string | undefined
  /** Further audiences that the API server answers to. */
  readonly audiences?: readonly string[] | undefined
  /** Asked first, such as a file of static tokens. */
  readonly authenticators?: readonly Authenticator[] | undefined
  /** OpenID Connect issuers whose ID tokens are believed. */
  readonly oidc?: readonly OidcOptions[] | undefined
}

/**
 * Who may come in and do what: client certificates, service-account and bootstrap tokens; system:masters, node authorizer and RBAC with its
 * default roles; reviews, token requests and the documents with which others check our tokens. Nothing is allowed before `start`
 * has read the roles, except to system:masters.
 */
export function createAccessExtension(options: AccessOptions): CreateExtension {
  return (core) => {
    const issuer = options.issuer ?? DEFAULT_ISSUER
    const { signer } = options
    const deps = { ...core, signer, audiences: [issuer, ...(options.audiences ?? [])] }
    let graph: NodeGraph | undefined
    const policies = new TenantPolicies({
      ...core,
      onFollow: (tenant) => followAggregation({ ...core, client: core.clientOf(tenant), tenant }),
    })
    const authorizer = createTenantBoundary(
      createUnionAuthorizer([
        mastersAuthorizer,
        createNodeAuthorizer((tenant) => (tenant === SYSTEM_TENANT || isView(tenant) ? graph : undefined)),
        policies,
      ]),
    )
    const isElsewhere = (tenant: string): boolean =>
      core.tenants.find(tenant) !== undefined && !core.tenants.isHosted(tenant)
    const tokens = createTokenAuthenticator({ ...deps, isElsewhere })
    const certificates = createCertificateAuthenticator(core.clock)
    const stops: (() => void)[] = []
    const extension: ApiServerExtension = {
      authenticator: unionAuthenticator([
        createFrontProxyAuthenticator(certificates),
        ...(options.authenticators ?? []),
        certificates,
        createBootstrapTokenAuthenticator(core),
        ...(options.oidc ?? []).map((issuer) => createOidcAuthenticator(issuer, core)),
        tokens,
      ]),
      authorizer,
      routes: createOpenIdRoutes({ signer, issuer }),
      actions: [
        ...createReviewActions({ authorizer, tokens, policies, audiences: deps.audiences }),
        createTokenRequestAction(deps),
      ],
      writeChecks: [...createEscalationChecks({ policies, authorizer }), ...createNodeRestriction(core.reader)],
      bootstrapTenant: (tenant) => reconcileDefaultRbac({ ...core, client: core.clientOf(tenant), tenant }),
      async start() {
        const followed = followNodeGraph(core.reader, NODES_VIEW)
        graph = followed.graph
        stops.push(followed.stop)
        policies.start()
        await reconcileDefaultRbac({ ...core, tenant: SYSTEM_TENANT })
        const cleaner = new BootstrapTokenCleaner(core)
        stops.push(() => cleaner.close())
      },
      async close() {
        policies.close()
        for (const stop of stops) stop()
      },
    }
    return extension
  }
}

/** The first that knows the caller decides. */
function unionAuthenticator(authenticators: readonly Authenticator[]): Authenticator {
  return {
    async authenticate(exchange) {
      for (const authenticator of authenticators) {
        const user = await authenticator.authenticate(exchange)
        if (user !== undefined) return user
      }
      return undefined
    },
  }
}

/** Brings aggregated roles up to date after each change of a cluster role, one run at a time. */
function followAggregation(deps: RbacReconcileDeps & Pick<ApiServerCore, 'logger'>): () => void {
  let isRunning = false
  let isWanted = false
  const run = async (): Promise<void> => {
    isWanted = true
    if (isRunning) return
    isRunning = true
    while (isWanted) {
      isWanted = false
      try {
        await reconcileAggregation(deps)
      } catch (error) {
        deps.logger.warn('Could not aggregate cluster roles', { error })
      }
    }
    isRunning = false
  }
  return deps.reader.onChange(clusterroles, () => void run(), { tenant: deps.tenant })
}
