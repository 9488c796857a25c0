import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { pods, secrets, serviceaccounts, services, type Pod } from '@centaurus/api/core/v1'
import { createHttpClient } from '@centaurus/client/http'
import type { Client } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'

const TENANTS = ['acme', 'beta', 'system']

function podOf(): Pod {
  return {
    metadata: { namespace: 'default', name: 'web' },
    spec: {
      serviceAccountName: 'default',
      containers: [
        {
          name: 'c',
          image: 'i',
          env: [
            { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
            { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'KEY', valueFrom: { secretKeyRef: { name: 'key', key: 'key' } } },
          ],
        },
      ],
    },
  }
}

describe('a node agent of several tenants', () => {
  let test: TestServer
  let node: Client
  let other: Client

  const tenant = (name: string): Client => test.server.client({ ...SERVER_USER, tenant: name })
  const namespaceOf = (name: string): string => (name === 'system' ? 'default' : `default--${name}`)

  async function agentOf(name: string): Promise<Client> {
    const { certificatePem, keyPem } = await test.certificates.client(`system:node:${name}`, {
      commonName: `system:node:${name}`,
      organizations: ['system:nodes'],
    })
    return createHttpClient({
      server: `https://127.0.0.1:${test.port}`,
      ca: test.certificates.authority.certificatePem,
      cert: certificatePem,
      key: keyPem,
    })
  }

  before(async () => {
    test = await startTenantServer({ tenants: ['acme', 'beta'] })
    for (const name of TENANTS) {
      const client = tenant(name)
      // other tenants have theirs from the beginning, as their namespace has
      const { items } = await client.list(serviceaccounts, { namespace: 'default' })
      if (items.length === 0)
        await client.create(serviceaccounts, { metadata: { namespace: 'default', name: 'default' } })
      await client.create(secrets, { metadata: { namespace: 'default', name: 'key' }, stringData: { key: name } })
      await client.create(pods, podOf())
      await client.createSubresource(pods, { namespace: 'default', name: 'web' }, 'binding', {
        metadata: { namespace: 'default', name: 'web' },
        target: { kind: 'Node', name: name === 'beta' ? 'n2' : 'n1' },
      })
    }
    node = await agentOf('n1')
    other = await agentOf('n2')
  })
  after(async () => {
    await node.close()
    await other.close()
    await test.close()
  })

  it('sees its pods of all tenants by names of their own', async () => {
    const list = async (client: Client, on: string): Promise<string[]> => {
      const { items } = await client.list(pods, { fieldSelector: `spec.nodeName=${on}` })
      return items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
    }
    assert.deepEqual(await list(node, 'n1'), ['default--acme/web', 'default/web'])
    assert.deepEqual(await list(other, 'n2'), ['default--beta/web'])
  })

  it('reads the secrets of its own pods, each tenant its own', async () => {
    const read = async (client: Client, name: string): Promise<string> => {
      const secret = await client.get(secrets, { namespace: namespaceOf(name), name: 'key' })
      return Buffer.from(secret.data?.['key'] ?? '', 'base64').toString()
    }
    assert.equal(await read(node, 'acme'), 'acme')
    assert.equal(await read(node, 'system'), 'system')
    assert.equal(await read(other, 'beta'), 'beta')
    await assert.rejects(read(node, 'beta'), /no relationship found between node 'n1' and this object/)
    await assert.rejects(read(other, 'acme'), /no relationship found/)
    await assert.rejects(read(other, 'system'), /no relationship found/)
  })

  it("gives pods the tenant's namespace where they ask for it", async () => {
    const pod = await node.get(pods, { namespace: 'default--acme', name: 'web' })
    assert.deepEqual(
      pod.spec?.containers[0]?.env?.map((entry) => entry.valueFrom?.fieldRef?.fieldPath),
      ["metadata.annotations['centaurus.io/namespace']", 'metadata.name', undefined],
    )
    assert.equal(pod.metadata.annotations?.['centaurus.io/namespace'], 'default')
    const token = pod.spec?.volumes?.find((volume) => volume.name.startsWith('kube-api-access'))
    assert.equal(
      token?.projected?.sources?.[2]?.downwardAPI?.items?.[0]?.fieldRef?.fieldPath,
      "metadata.annotations['centaurus.io/namespace']",
    )
    const stored = await tenant('acme').get(pods, { namespace: 'default', name: 'web' })
    assert.equal(stored.spec?.containers[0]?.env?.[0]?.valueFrom?.fieldRef?.fieldPath, 'metadata.namespace')
    const own = await node.get(pods, { namespace: 'default', name: 'web' })
    assert.equal(own.spec?.containers[0]?.env?.[0]?.valueFrom?.fieldRef?.fieldPath, 'metadata.namespace')
  })

  it('writes status where the pod is, and nowhere else', async () => {
    const write = (client: Client, name: string, phase: string): Promise<unknown> =>
      client.patch(
        pods,
        { namespace: namespaceOf(name), name: 'web' },
        { type: 'merge', body: { status: { phase } } },
        { subresource: 'status' },
      )
    await write(node, 'acme', 'Running')
    const phases = await Promise.all(
      TENANTS.map(async (name) => (await tenant(name).get(pods, { namespace: 'default', name: 'web' })).status?.phase),
    )
    assert.deepEqual(phases, ['Running', 'Pending', 'Pending'])
    await assert.rejects(
      write(node, 'beta', 'Failed'),
      /can only update status for pods with spec.nodeName set to itself/,
    )
    const stored = await tenant('acme').get(pods, { namespace: 'default', name: 'web' })
    assert.equal(stored.metadata.annotations, undefined)
  })

  it('gets tokens for the service accounts of its pods', async () => {
    const ask = (client: Client, name: string, uid: string): Promise<{ status: { token: string } }> =>
      client.createSubresource(serviceaccounts, { namespace: namespaceOf(name), name: 'default' }, 'token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'web', uid } },
      })
    const uidOf = async (name: string): Promise<string> =>
      (await tenant(name).get(pods, { namespace: 'default', name: 'web' })).metadata.uid
    const { token } = (await ask(node, 'acme', await uidOf('acme'))).status
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>
    assert.equal(claims['centaurus.io/tenant'], 'acme')
    assert.equal(claims['sub'], 'system:serviceaccount:default:default')
    await assert.rejects(ask(node, 'acme', await uidOf('system')), /does not match the UID/)
    await assert.rejects(ask(other, 'acme', await uidOf('acme')), /no relationship found/)
  })

  it('tells of the API by an address that is in its certificate, whichever the tenant’s is', async () => {
    const addressIn = async (client: Client, namespace: string): Promise<string | undefined> =>
      (await client.list(services, { namespace })).items.find(({ metadata }) => metadata.name === 'kubernetes')?.spec
        ?.clusterIP
    const own = await addressIn(node, 'default')
    assert.match(own ?? '', /^10\./)
    assert.notEqual(await addressIn(tenant('acme'), 'default'), own)
    assert.equal(await addressIn(node, 'default--acme'), own)
    assert.notEqual(await addressIn(tenant('all'), 'default--acme'), own, 'who serves Services needs the real one')
  })
})
