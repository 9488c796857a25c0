import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { tenants } from '@centaurus/api/centaurus/v1'
import { pods, secrets } from '@centaurus/api/core/v1'
import { openClusterCertificates, SERVER_USER, type ClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { dialRemoteCommand } from '@centaurus/streams'
import { nodeClients } from './cluster.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { startSimulatedNodes } from './simulated-nodes.ts'

const TENANTS = ['acme', 'beta']
const WAIT_MS = 30_000
const POLL_MS = 20
const NAME = { namespace: 'default', name: 'web' }

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!(await check().catch(() => false))) {
    assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

describe('pods of several tenants on one node, with equal names', () => {
  const store = createMemoryStore()
  let certificates: ClusterCertificates
  let plane: ControlPlane
  let nodes: { close(): Promise<void> }
  const clientOf = (tenant: string): Client => plane.server.client({ ...SERVER_USER, tenant })

  before(async () => {
    certificates = await openClusterCertificates()
    plane = await startControlPlane({
      store,
      certificates,
      port: 0,
      host: '127.0.0.1',
      advertiseAddress: '127.0.0.1',
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    const serving = await certificates.server('node-serving', {
      commonName: 'system:node:simulated',
      alternativeNames: ['127.0.0.1'],
    })
    const clientCa = certificates.authority.certificatePem
    const tls = { key: serving.keyPem, cert: serving.certificatePem, clientCa }
    nodes = await startSimulatedNodes({ ...nodeClients(plane.server), count: 1, logger: silentLogger, tls })
    for (const tenant of TENANTS) await addTenant(tenant)
  })
  after(async () => {
    await nodes.close()
    await plane.close()
    await store.close()
  })

  async function addTenant(tenant: string): Promise<void> {
    await plane.client.create(tenants, { metadata: { name: tenant } })
    const client = clientOf(tenant)
    await eventually(`tenant ${tenant} to be active`, async () => plane.server.tenants.isHosted(tenant))
    await eventually('its namespace', async () => (await client.list(secrets, NAME)).items.length >= 0)
    await eventually('its secret', async () => {
      await client.create(secrets, {
        metadata: { namespace: 'default', name: 'key' },
        stringData: { key: `of ${tenant}` },
      })
      return true
    })
    const env = [
      { name: 'KEY', valueFrom: { secretKeyRef: { name: 'key', key: 'key' } } },
      { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
    ]
    await eventually('its pod', async () => {
      await client.create(pods, { metadata: NAME, spec: { containers: [{ name: 'c', image: 'x', env }] } })
      return true
    })
  }

  async function run(tenant: string, ...command: string[]): Promise<string> {
    const { certificatePem, keyPem } = await certificates.client(`admin-${tenant}`, {
      commonName: 'admin',
      organizations: ['system:masters', `tenant:${tenant}`],
    })
    const query = new URLSearchParams([
      ['stdout', 'true'],
      ...command.map((word): [string, string] => ['command', word]),
    ])
    const session = await dialRemoteCommand(
      {
        url: new URL(`${plane.url}/api/v1/namespaces/default/pods/web/exec?${query}`),
        tls: { ca: certificates.authority.certificatePem, cert: certificatePem, key: keyPem },
      },
      { stdin: false, stdout: true, stderr: false, tty: false },
    )
    const output = await text(session.stdout!)
    session.close()
    return output.trim()
  }

  it('run side by side, each with its tenant’s secret, namespace and API server', async () => {
    const hosts = new Set<string>()
    for (const tenant of TENANTS) {
      const client = clientOf(tenant)
      await eventually(
        `the pod of ${tenant} to run`,
        async () => (await client.get(pods, NAME)).status?.phase === 'Running',
      )
      hosts.add((await client.get(pods, NAME)).spec?.nodeName ?? '')
      assert.equal(await run(tenant, 'printenv', 'KEY'), `of ${tenant}`)
      assert.equal(await run(tenant, 'printenv', 'NAMESPACE'), 'default')
      // each tenant's Service has another address; the certificate has the name
      assert.equal(await run(tenant, 'printenv', 'KUBERNETES_SERVICE_HOST'), 'kubernetes.default.svc')
    }
    assert.equal(hosts.size, 1)
  })

  it('go one by one', async () => {
    const [first, second] = TENANTS.map(clientOf)
    await first!.delete(pods, NAME)
    await eventually(
      'it to be gone',
      async () => (await first!.list(pods, { namespace: 'default' })).items.length === 0,
    )
    assert.equal((await second!.get(pods, NAME)).status?.phase, 'Running')
    assert.equal(await run(TENANTS[1]!, 'printenv', 'KEY'), `of ${TENANTS[1]}`)
  })
})
