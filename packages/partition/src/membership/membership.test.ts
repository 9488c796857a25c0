import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import {
  createAccessExtension,
  createTokenSigner,
  openClusterCertificates,
  type CreateExtension,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { systemClock } from '@centaurus/base'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { createMembership, type Membership } from './membership.ts'
import { createOpenLink, issuePartitionCertificate, type OpenLink } from './partition-link.ts'
import { requireMember } from './require-member.ts'

/** Echoes who asked, and counts on a stream until the reader goes away. */
const routes: CreateExtension = () => ({
  authorizer: { authorize: () => ({ allowed: true, reason: '' }) },
  routes: [
    {
      path: '/partition/v1/echo',
      methods: ['POST'],
      async handle(exchange, context) {
        const member = requireMember(context)
        const body = Buffer.from(await exchange.readBody(1024)).toString('utf8')
        exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify({ member, body }))
      },
    },
    {
      path: '/partition/v1/count',
      methods: ['GET'],
      handle(exchange, context) {
        requireMember(context)
        exchange.startStream(200, { 'content-type': 'application/x-ndjson' })
        for (const number of [1, 2, 3]) exchange.write(Buffer.from(`${number}\n`))
        if (exchange.query.has('end')) exchange.end()
      },
    },
  ],
})

describe('membership', () => {
  let server: TestServer
  let membership: Membership
  let open: OpenLink

  before(async () => {
    const certificates = await openClusterCertificates()
    const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
    const extensions = [createAccessExtension({ signer }), createRegistryExtension(), routes]
    server = await startTestServer({ certificates, extensions })
    membership = createMembership(server.server.reader, 'tp1')
    const certificate = await issuePartitionCertificate(server.certificates, 'tp1')
    open = createOpenLink({ ca: server.certificates.authority.certificatePem, certificate, clock: systemClock })
  })
  after(() => server.close())

  const partitionAt = (...ports: number[]) => ({
    metadata: { name: 'home' },
    spec: { roles: ['Tenant' as const], endpoints: ports.map((port) => `https://127.0.0.1:${port}`) },
  })

  it('is what the local store says, at once', async () => {
    const changes: string[] = []
    const remove = membership.onChange(() =>
      changes.push(
        membership
          .list()
          .map((item) => item.metadata.name)
          .join(),
      ),
    )
    await server.client.create(partitions, partitionAt(server.port))
    await server.client.create(tenants, { metadata: { name: 'acme' } })
    assert.equal(membership.hosts('acme'), false)
    const acme = await server.client.get(tenants, { name: 'acme' })
    await server.client.updateStatus(tenants, { ...acme, status: { phase: 'Active', partition: 'tp1' } })
    assert.equal(membership.hosts('acme'), true)
    assert.equal(membership.hosts('system'), true)
    assert.equal(membership.hosts('other'), false)
    assert.deepEqual(changes, ['home', 'home', 'home'])
    remove()
    await server.client.delete(tenants, { name: 'acme' })
    assert.equal(changes.length, 3)
    assert.equal(membership.tenant('acme'), undefined)
    assert.equal(membership.get('home')?.spec.roles[0], 'Tenant')
  })

  it('is shown by the certificate of a partition, and by nothing else', async () => {
    const link = open(partitionAt(server.port))
    const answer = await link.request({ method: 'POST', path: '/partition/v1/echo', body: { hello: 1 } })
    assert.deepEqual(answer, { status: 200, body: { member: 'tp1', body: '{"hello":1}' } })
    await link.close()
    const refused = await server.request('POST', '/partition/v1/echo', { body: {} })
    assert.equal(refused.status, 403)
    assert.match(refused.json().message, /only partitions of this cluster may/)
  })

  it('goes on at another address when one does not answer', async () => {
    const link = open(partitionAt(1, server.port)) // nothing listens on port 1
    const { status } = await link.request({ method: 'POST', path: '/partition/v1/echo', body: 1 })
    assert.equal(status, 200)
    await link.close()
    const nowhere = open(partitionAt(1))
    await assert.rejects(nowhere.request({ method: 'GET', path: '/version' }), { name: 'NotConnectedError' })
    await nowhere.close()
  })

  it('streams lines until either side ends', async () => {
    const link = open(partitionAt(server.port))
    const lines: string[] = []
    const onLine = (line: Uint8Array): void => void lines.push(Buffer.from(line).toString('utf8'))
    const { signal } = new AbortController()
    await link.stream({ path: '/partition/v1/count?end=1', signal, onLine })
    assert.deepEqual(lines, ['1', '2', '3'])
    const stop = new AbortController()
    const running = link.stream({
      path: '/partition/v1/count',
      signal: stop.signal,
      onLine: () => stop.abort(new Error('enough')),
    })
    await assert.rejects(running, /enough/)
    await assert.rejects(
      link.stream({ path: '/nothing', signal, onLine }),
      (error) => isStatus(error, 'NotFound') || (error as { code?: number }).code === 404,
    )
    const cut = link.stream({ path: '/partition/v1/count', signal, onLine: () => void link.close() })
    await assert.rejects(cut)
  })
})
