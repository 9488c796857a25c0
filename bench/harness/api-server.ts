/**
 * Run with `--expose-gc`, a directory and an IPC channel: the API server of a control plane with the embedded store and access
 * control, without controllers and scheduler. Says `ready` with what a client needs, then answers each `settle` with a sample of
 * its memory after garbage collection. Ends when the channel does.
 */
import { join } from 'node:path'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import { namespaces, serviceaccounts } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createApiServer,
  createTokenSigner,
  openClusterCertificates,
} from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { openEmbeddedStore, timedRevisions } from '@centaurus/store'
import { settleMemory } from './memory.ts'
import { BENCH_NAMESPACE, type ReadyMessage } from './api-server-process.ts'

/** An ordinary user, allowed what the bench does by RBAC alone. */
const USER = { commonName: 'bench-user', organizations: ['bench-group'] }
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
  extensions: [createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) })],
  admission: { advertiseAddress: '127.0.0.1', advertisePort: 6443 },
})
await server.start()
await seed(server.client())
const listener = await server.listen({
  port: 0,
  host: '127.0.0.1',
  tls: { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: authority.certificatePem },
})
const user = await certificates.client('bench', USER)

process.on('message', () => void settleMemory().then((memory) => process.send?.(memory)))
process.once('disconnect', () => void stop())
process.once('SIGTERM', () => process.disconnect())
const ready: ReadyMessage = {
  url: `https://127.0.0.1:${listener.port}`,
  tls: { ca: authority.certificatePem, cert: user.certificatePem, key: user.keyPem },
}
process.send?.(ready)

async function seed(client: Client): Promise<void> {
  const name = 'bench'
  await client.create(namespaces, { metadata: { name: BENCH_NAMESPACE } })
  await client.create(serviceaccounts, { metadata: { name: 'default', namespace: BENCH_NAMESPACE } })
  await client.create(clusterroles, {
    metadata: { name },
    rules: [{ apiGroups: [''], resources: ['pods', 'configmaps'], verbs: ['*'] }],
  })
  await client.create(clusterrolebindings, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'bench-group' }],
  })
}

async function stop(): Promise<void> {
  await server.close()
  await store.close()
  process.exit()
}
