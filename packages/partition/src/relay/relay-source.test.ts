import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { describe, it } from 'node:test'
import { RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import { configmaps, pods } from '@centaurus/api/core/v1'
import { createAccessExtension, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createMemoryStore } from '@centaurus/store'
import { createMembershipExtension } from '../membership/membership-extension.ts'
import { createMembership } from '../membership/membership.ts'
import { issuePartitionCertificate } from '../membership/partition-link.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { createRelaySource } from './relay-source.ts'
import { RELAY_PATH } from './wire.ts'

const UNREAD_BYTES_MAX = 300_000
const BIG = 'x'.repeat(100_000)

describe('the source of the relay', () => {
  const start = async (): Promise<TestServer> => {
    const certificates = await openClusterCertificates()
    const store = createMemoryStore()
    const test = await startTestServer({
      store,
      certificates,
      partition: 'tp',
      extensions: [
        createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
        createRegistryExtension(),
        createMembershipExtension({ self: 'tp', home: true }),
        (core) => {
          const membership = createMembership(core.reader, 'tp')
          return createRelaySource({ store, membership, unreadBytesMax: UNREAD_BYTES_MAX })(core)
        },
      ],
    })
    for (const name of ['tp', 'rp']) {
      await test.client.create(partitions, { metadata: { name }, spec: { roles: ['Tenant'], endpoints: [] } })
    }
    return test
  }

  it('drops who does not read, instead of remembering everything for it', async () => {
    const test = await start()
    const { certificates, client, port } = test
    const { certificatePem, keyPem } = await issuePartitionCertificate(certificates, 'rp')
    const ca = certificates.authority.certificatePem
    const session = connect(`https://127.0.0.1:${port}`, { ca, cert: certificatePem, key: keyPem })
    const stream = session.request({ ':path': `${RELAY_PATH}?partition=rp` })
    stream.on('error', () => {})
    await once(stream, 'response')
    stream.pause()
    const name = { namespace: 'default', name: 'big' }
    await client.create(configmaps, { metadata: name, data: { big: BIG } })
    await client.create(pods, {
      metadata: { namespace: 'default', name: 'p', annotations: { [RESOURCE_PARTITION_ANNOTATION]: 'rp' } },
      spec: {
        nodeName: 'n',
        containers: [{ name: 'c', image: 'i', envFrom: [{ configMapRef: { name: 'big' } }] }],
      },
    })
    let writes = 0
    while (!stream.closed) {
      assert.ok(writes++ < 100, 'it was never dropped')
      await client.patch(configmaps, name, { type: 'merge', body: { data: { count: String(writes) } } })
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(writes >= UNREAD_BYTES_MAX / BIG.length, 'who is a little behind is waited for')
    session.destroy()
    await test.close()
  })

  it('speaks to partitions about themselves, and to nobody else', async () => {
    const test = await start()
    const status = async (commonName: string, organizations: string[], partition: string): Promise<number> => {
      const ask = await test.as({ commonName, organizations })
      return (await ask('GET', `${RELAY_PATH}?partition=${partition}`)).status
    }
    assert.equal(await status('system:partition:rp', ['system:partitions'], 'tp'), 403)
    assert.equal(await status('system:partition:unknown', ['system:partitions'], 'unknown'), 403)
    assert.equal(await status('admin', ['system:masters'], 'rp'), 403)
    assert.equal(await status('admin', ['system:masters', 'tenant:acme'], 'rp'), 404)
    await test.close()
  })
})
