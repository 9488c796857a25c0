/**
 * Run with a role, an IPC channel and, as its first message, what it needs: an API server of one partition over the memory store
 * (`partition`), or a gateway (`gateway`). Says `ready` with its address. Ends when the channel does.
 */
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { namespaces, nodes, serviceaccounts, type Node } from '@centaurus/api/core/v1'
import { createAccessExtension, createApiServer, createTokenSigner } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createRegistryExtension } from '@centaurus/partition'
import { startGateway } from '@centaurus/partition/gateway'
import { createMemoryStore } from '@centaurus/store'
import { BENCH_NAMESPACE } from './api-server-process.ts'
import type { GatewayPartSetup } from './gateway-parts.ts'

const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }

process.once('message', (setup) => void start(setup as GatewayPartSetup).then((port) => process.send?.({ port })))
process.once('disconnect', () => process.exit())

async function start(setup: GatewayPartSetup): Promise<number> {
  const { ca, serving } = setup
  const tls = { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: ca }
  if (setup.type === 'gateway') {
    const { certificatePem: cert, keyPem: key } = setup.client
    const own = { endpoints: setup.endpoints, serving: tls, tls: { ca, cert, key }, host: '127.0.0.1', port: 0 }
    const gateway = await startGateway({ ...deps, ...own })
    await gateway.whenKnown()
    return gateway.port
  }
  const signer = createTokenSigner({ keyPem: setup.serviceAccountKeyPem })
  const extensions = [createAccessExtension({ signer }), createRegistryExtension()]
  const server = createApiServer({ ...deps, store: createMemoryStore(), extensions })
  await server.start()
  const { port } = await server.listen({ port: 0, host: '127.0.0.1', tls })
  const client = server.client()
  await client.create(namespaces, { metadata: { name: BENCH_NAMESPACE } })
  await client.create(serviceaccounts, { metadata: { name: 'default', namespace: BENCH_NAMESPACE } })
  for (let i = 0; i < setup.nodes; i++) await client.create(nodes, benchNode(`${setup.name}-${i}`))
  process.on('message', (message) => void register(message as readonly Partition[]))
  return port

  /** Told when all partitions have an address. */
  async function register(all: readonly Partition[]): Promise<void> {
    for (const partition of all) await client.create(partitions, partition)
    process.send?.('registered')
  }
}

/** About 2 KB, as node agents write it. */
function benchNode(name: string): Node {
  const quantities = { cpu: '32', memory: '131072Mi', pods: '110', 'ephemeral-storage': '500Gi' }
  const conditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason: 'Kubelet',
    message: 'kubelet is posting ready status and has sufficient memory, disk space and processes available',
    lastHeartbeatTime: '2026-01-01T00:00:00Z',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }))
  const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/arch': 'amd64', 'topology.kubernetes.io/zone': 'a' }
  const addresses = [
    { type: 'InternalIP', address: '10.0.0.1' },
    { type: 'Hostname', address: name },
  ]
  return {
    metadata: { name, labels },
    status: { capacity: quantities, allocatable: quantities, conditions, addresses },
  }
}
