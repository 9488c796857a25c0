/**
 * Runs our API server alone, as the control plane wires it but without controllers and scheduler, until it is interrupted:
 * `node serve.ts FOLDER`. The folder gets `kubeconfig` and, in `pki/`, certificates with which another API server can be run.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createApiServer, createKubeconfig, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { systemClock, systemRandom } from '@centaurus/base'
import { createMemoryStore } from '@centaurus/store'
import { createLogger } from '../../apps/centaurus/src/logger.ts'
import { createExtensions } from '../../apps/centaurus/src/control-plane/extensions.ts'

const HISTORY_REVISIONS_MAX = 100_000
/** Where the other server is expected. */
const OTHER_PORT = 16_443

const folder = process.argv[2]
if (folder === undefined) throw new Error('Name a folder')
mkdirSync(folder, { recursive: true })
const certificates = await openClusterCertificates({ directory: join(folder, 'pki') })
const store = createMemoryStore({ automaticCompaction: { revisionsMax: HISTORY_REVISIONS_MAX } })
const shared = { store, clock: systemClock, random: systemRandom, logger: createLogger('error') }
const options = { ...shared, certificates, port: 6443, advertiseAddress: '127.0.0.1' }
const extensions = await createExtensions(options, createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }))
const server = createApiServer({
  ...shared,
  extensions,
  admission: { advertiseAddress: '127.0.0.1', advertisePort: 6443 },
})
await server.start()
const { port } = await server.listen({
  port: Number(process.argv[3] ?? 0),
  host: '127.0.0.1',
  tls: {
    key: certificates.serving.keyPem,
    certificate: certificates.serving.certificatePem,
    clientAuthority: certificates.authority.certificatePem,
  },
})
const admin = await certificates.client('admin', { commonName: 'kubernetes-admin', organizations: ['system:masters'] })
const kubeconfigFor = (at: number): string =>
  createKubeconfig({
    server: `https://127.0.0.1:${at}`,
    ca: certificates.authority.certificatePem,
    cert: admin.certificatePem,
    key: admin.keyPem,
  })
writeFileSync(join(folder, 'kubeconfig'), kubeconfigFor(port))
writeFileSync(join(folder, 'other-kubeconfig'), kubeconfigFor(OTHER_PORT))
console.log(`Serving on ${port}`)
