/**
 * Run with a directory and an IPC channel: an API server with the embedded store, access control and two tenants. Says `ready` with what
 * a client of each needs. Ends when the channel does.
 */
import { join } from 'node:path'
import { tenants } from '@centaurus/api/centaurus/v1'
import { configmaps } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createApiServer,
  createTokenSigner,
  openClusterCertificates,
  SERVER_USER,
} from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createRegistryExtension } from '@centaurus/partition'
import { openEmbeddedStore, timedRevisions } from '@centaurus/store'
import type { TlsClient } from './http2-load.ts'

/** What it says when it is ready. */
export interface TenantsReadyMessage {
  readonly url: string
  readonly tls: { readonly loud: TlsClient; readonly quiet: TlsClient }
}

const HISTORY_REVISIONS_MAX = 50_000

const directory = process.argv[2] ?? ''
const [store, certificates] = await Promise.all([
  openEmbeddedStore({
    path: join(directory, 'store'),
    automaticCompaction: { revisionsMax: HISTORY_REVISIONS_MAX },
    revisions: timedRevisions(systemClock),
  }),
  openClusterCertificates({ directory: join(directory, 'pki') }),
])
const { authority, serving } = certificates
const server = createApiServer({
  store,
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
  extensions: [
    createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
    createRegistryExtension(),
  ],
  admission: { advertiseAddress: '127.0.0.1', advertisePort: 6443 },
})
await server.start()
const tls = { loud: await addTenant('loud'), quiet: await addTenant('quiet') }
const listener = await server.listen({
  port: 0,
  host: '127.0.0.1',
  tls: { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: authority.certificatePem },
})

process.once('disconnect', () => void stop())
process.once('SIGTERM', () => process.disconnect())
const ready: TenantsReadyMessage = { url: `https://127.0.0.1:${listener.port}`, tls }
process.send?.(ready)

async function addTenant(name: string): Promise<TlsClient> {
  const tenant = await server.client().create(tenants, { metadata: { name } })
  const status = { phase: 'Active' as const, partition: 'bench', epoch: 1 }
  await server.client().updateStatus(tenants, { ...tenant, status })
  await server.bootstrapTenant(name)
  const client = server.client({ ...SERVER_USER, tenant: name })
  await client.create(configmaps, {
    metadata: { namespace: 'default', name: 'bench' },
    data: { text: 'x'.repeat(1_000) },
  })
  const organizations = ['system:masters', `tenant:${name}`]
  const { certificatePem, keyPem } = await certificates.client(`bench-${name}`, { commonName: 'admin', organizations })
  return { ca: authority.certificatePem, cert: certificatePem, key: keyPem }
}

async function stop(): Promise<void> {
  await server.close()
  await store.close()
  process.exit()
}
