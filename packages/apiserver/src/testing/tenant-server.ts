import type { CustomResourceDefinition } from '@centaurus/api/apiextensions/v1'
import { tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { createAccessExtension, type AccessOptions } from '../access/access-extension.ts'
import { generateKeyPem } from '../certificates/key-pair.ts'
import { createCrdExtension } from '../crd/crd-extension.ts'
import { customDefinitions } from '../crd/custom-definition.ts'
import { createDiscoveryExtension } from '../discovery/discovery-extension.ts'
import { createOpenApiExtension } from '../discovery/openapi-extension.ts'
import type { CreateExtension } from '../extension.ts'
import { createTokenSigner } from '../tokens/signing-key.ts'
import { startTestServer, type TestServer, type TestServerOptions } from './test-server.ts'

/** The registry's kind as far as this package looks at it. */
const TENANT_KIND: CustomResourceDefinition = {
  metadata: { name: 'tenants.centaurus.io' },
  spec: {
    group: 'centaurus.io',
    scope: 'Cluster',
    names: { plural: 'tenants', singular: 'tenant', kind: 'Tenant', listKind: 'TenantList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        subresources: { status: {} },
      },
    ],
  },
}

const registryKinds: CreateExtension = ({ registry }) => {
  registry.change({ added: customDefinitions(TENANT_KIND) })
  return {}
}

export interface TenantServerOptions extends TestServerOptions {
  readonly access?: Partial<AccessOptions> | undefined
  /** Made and bootstrapped before it resolves. */
  readonly tenants?: readonly string[] | undefined
}

/** A server with access control, discovery and custom resources, and some tenants. */
export async function startTenantServer(options: TenantServerOptions = {}): Promise<TestServer> {
  const signer = createTokenSigner({ keyPem: generateKeyPem() })
  const test = await startTestServer({
    ...options,
    extensions: [
      registryKinds,
      createAccessExtension({ signer, ...options.access }),
      createDiscoveryExtension(),
      createOpenApiExtension(),
      createCrdExtension(),
      ...(options.extensions ?? []),
    ],
  })
  for (const name of options.tenants ?? []) await putTenant(test, { metadata: { name } })
  return test
}

/** Makes the tenant, or writes its status, and bootstraps it. Its status defaults to what makes a tenant served here. */
export async function putTenant(test: TestServer, tenant: Tenant): Promise<void> {
  const status = { phase: 'Active' as const, partition: 'p0', epoch: 1, ...tenant.status }
  const made = await test.client.create(tenants, tenant)
  await test.client.updateStatus(tenants, { ...made, status })
  if (test.server.tenants.isHosted(made.metadata.name)) await test.server.bootstrapTenant(made.metadata.name)
}

/** Credentials of somebody who may do everything in the tenant. */
export function adminOf(tenant: string): { commonName: string; organizations: string[] } {
  return { commonName: 'admin', organizations: ['system:masters', `tenant:${tenant}`] }
}
