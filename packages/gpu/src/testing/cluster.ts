import { createAccessExtension, createTokenSigner } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { generateKeyPairSync } from 'node:crypto'
import { pods, type Binding, type Pod, type PodStatus } from '@centaurus/api/core/v1'
import { GPU_ALLOCATION_ANNOTATION } from '@centaurus/api/gpu'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'

export const NODE_NAME = 'n1'

/** An API server that decides about access, and a node's way to it. */
export interface TestCluster {
  /** May do anything. */
  readonly admin: Client
  /** As the agent of node `n1`, over HTTPS. */
  readonly client: Client
  readonly informers: InformerFactory
  /** Makes a pod that is bound to the node with this allocation. */
  createPod(name: string, allocation: object, more?: { annotations?: Record<string, string> }): Promise<Pod>
  setStatus(name: string, status: PodStatus): Promise<void>
  deletePod(name: string): Promise<void>
  close(): Promise<void>
}

export async function startTestCluster(): Promise<TestCluster> {
  const keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const signer = createTokenSigner({ keyPem: String(keyPem) })
  const server: TestServer = await startTestServer({ extensions: [createAccessExtension({ signer })] })
  const { certificatePem, keyPem: key } = await server.certificates.client(`system:node:${NODE_NAME}`, {
    commonName: `system:node:${NODE_NAME}`,
    organizations: ['system:nodes'],
  })
  const ca = server.certificates.authority.certificatePem
  const client = createHttpClient({ server: `https://127.0.0.1:${server.port}`, ca, cert: certificatePem, key })
  const informers = createInformerFactory(client, {
    clock: systemClock,
    random: createSeededRandom(1),
    logger: silentLogger,
  })
  const admin = server.client
  const named = (name: string) => ({ namespace: 'default', name })
  return {
    admin,
    client,
    informers,
    async createPod(name, allocation, { annotations = {} } = {}) {
      const containers = Object.keys(allocation).map((container) => ({
        name: container,
        image: 'i',
        resources: { limits: { 'centaurus.io/gpu-memory': '1024' } },
      }))
      const pod = await admin.create(pods, { metadata: { ...named(name), annotations }, spec: { containers } })
      await admin.createSubresource<Binding, unknown>(pods, named(name), 'binding', {
        metadata: { name, annotations: { [GPU_ALLOCATION_ANNOTATION]: JSON.stringify(allocation) } },
        target: { kind: 'Node', name: NODE_NAME },
      })
      return pod
    },
    async setStatus(name, status) {
      await admin.patch(pods, named(name), { type: 'merge', body: { status } }, { subresource: 'status' })
    },
    async deletePod(name) {
      await admin.delete(pods, named(name), { gracePeriodSeconds: 0 })
    },
    async close() {
      await informers.close()
      await client.close()
      await server.close()
    },
  }
}
