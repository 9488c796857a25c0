import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createServer, connect, type TLSSocket } from 'node:tls'
import { createManualClock, systemClock } from '@centaurus/base'
import { load } from 'js-yaml'
import { createAuthority } from './authority.ts'
import {
  createCertificateRequest,
  isSignedBy,
  KUBE_APISERVER_CLIENT_KUBELET_SIGNER,
  KUBE_APISERVER_CLIENT_SIGNER,
  KUBELET_SERVING_SIGNER,
  signCertificateRequest,
} from './certificate-request.ts'
import { openClusterCertificates } from './cluster-certificates.ts'
import { generateKeyPem } from './key-pair.ts'
import { createKubeconfig } from './kubeconfig.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const NODE = { commonName: 'system:node:a', organizations: ['system:nodes'] }

describe('openClusterCertificates', () => {
  const directories: string[] = []
  const newDirectory = async (): Promise<string> => {
    const directory = await mkdtemp(join(tmpdir(), 'certificates-'))
    directories.push(directory)
    return directory
  }
  after(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))))

  it('makes certificates that TLS accepts on both sides', async () => {
    const certificates = await openClusterCertificates()
    const client = await certificates.client('admin', { commonName: 'jane', organizations: ['system:masters', 'dev'] })
    const subject = await handshake(certificates, client)
    assert.equal(subject.CN, 'jane')
    assert.deepEqual(subject.O, ['system:masters', 'dev'])
  })

  it('keeps keys unreadable to others and reuses what is there', async () => {
    const directory = await newDirectory()
    const first = await openClusterCertificates({ directory })
    const admin = await first.client('admin', { commonName: 'admin' })
    const again = await openClusterCertificates({ directory })
    assert.deepEqual(again.authority, first.authority)
    assert.deepEqual(again.serving, first.serving)
    assert.equal(again.serviceAccountKeyPem, first.serviceAccountKeyPem)
    assert.deepEqual(await again.client('admin', { commonName: 'admin' }), admin)
    for (const name of (await readdir(directory)).filter((file) => file.endsWith('.key'))) {
      assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name)
    }
  })

  it('renews the serving certificate when names are added or its end is near, keeping the authority', async () => {
    const directory = await newDirectory()
    const clock = createManualClock()
    const first = await openClusterCertificates({ directory, clock })
    const added = await openClusterCertificates({
      directory,
      clock,
      alternativeNames: ['10.0.0.1', 'fd00::1', 'host.example'],
    })
    assert.notEqual(added.serving.certificatePem, first.serving.certificatePem)
    const same = await openClusterCertificates({ directory, clock, alternativeNames: ['fd00::1'] })
    assert.equal(same.serving.certificatePem, added.serving.certificatePem)
    await clock.advance(340 * DAY_MS)
    const renewed = await openClusterCertificates({ directory, clock, alternativeNames: ['fd00::1'] })
    assert.notEqual(renewed.serving.certificatePem, added.serving.certificatePem)
    assert.equal(renewed.authority.certificatePem, first.authority.certificatePem)
  })

  it('issues again when the same file is asked for another identity', async () => {
    const certificates = await openClusterCertificates()
    const one = await certificates.client('x', { commonName: 'one' })
    const two = await certificates.client('x', { commonName: 'two' })
    assert.notEqual(one.certificatePem, two.certificatePem)
    assert.equal(new X509Certificate(two.certificatePem).subject, 'CN=two')
  })
})

describe('createKubeconfig', () => {
  it('embeds the certificates and points at the server', () => {
    const text = createKubeconfig({ server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY' })
    const config = load(text) as { clusters: { cluster: object }[]; users: { user: object }[] }
    assert.deepEqual(config.clusters[0]!.cluster, {
      server: 'https://127.0.0.1:6443',
      'certificate-authority-data': 'Q0E=',
    })
    assert.deepEqual(config.users[0]!.user, { 'client-certificate-data': 'Q0VSVA==', 'client-key-data': 'S0VZ' })
  })
})

describe('signCertificateRequest', () => {
  const usages = ['digital signature', 'client auth']

  it('signs what each signer allows', async () => {
    const authority = await createAuthority('kubernetes', systemClock)
    const request = await createCertificateRequest(generateKeyPem(), NODE)
    const result = await signCertificateRequest(authority, systemClock, {
      request,
      usages,
      signerName: KUBE_APISERVER_CLIENT_KUBELET_SIGNER,
      expirationSeconds: 3600,
    })
    assert.equal(result.type, 'signed')
    assert.ok(result.type === 'signed' && isSignedBy(result.certificatePem, authority))
    const certificate = new X509Certificate(result.certificatePem)
    assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:a')
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
    assert.ok(certificate.validToDate.getTime() <= Date.now() + 3600_000)
  })

  it('keeps the alternative names of a serving request', async () => {
    const authority = await createAuthority('kubernetes', systemClock)
    const request = await createCertificateRequest(generateKeyPem(), {
      ...NODE,
      alternativeNames: ['a.example', '10.1.2.3'],
    })
    const result = await signCertificateRequest(authority, systemClock, {
      request,
      usages: ['digital signature', 'key encipherment', 'server auth'],
      signerName: KUBELET_SERVING_SIGNER,
    })
    assert.ok(result.type === 'signed')
    assert.equal(new X509Certificate(result.certificatePem).subjectAltName, 'DNS:a.example, IP Address:10.1.2.3')
  })

  it('refuses in upstream words what a signer does not allow', async () => {
    const authority = await createAuthority('kubernetes', systemClock)
    const ask = async (
      identity: Parameters<typeof createCertificateRequest>[1],
      signerName: string,
      wanted = usages,
    ): Promise<unknown> => {
      const request = await createCertificateRequest(generateKeyPem(), identity)
      const result = await signCertificateRequest(authority, systemClock, { request, usages: wanted, signerName })
      return result.type === 'refused' ? result.message : result.type
    }
    assert.equal(
      await ask({ commonName: 'x' }, KUBE_APISERVER_CLIENT_KUBELET_SIGNER),
      'subject organization is not system:nodes',
    )
    assert.equal(
      await ask({ ...NODE, commonName: 'x' }, KUBE_APISERVER_CLIENT_KUBELET_SIGNER),
      'subject common name does not begin with system:node:',
    )
    assert.equal(
      await ask({ ...NODE, alternativeNames: ['a'] }, KUBE_APISERVER_CLIENT_KUBELET_SIGNER),
      'DNS subjectAltNames are not allowed',
    )
    assert.equal(await ask(NODE, KUBELET_SERVING_SIGNER), 'DNS or IP subjectAltName is required')
    assert.equal(
      await ask(NODE, KUBE_APISERVER_CLIENT_SIGNER, ['server auth']),
      'invalid usage for client certificate: server auth',
    )
    assert.equal(await ask(NODE, 'example.com/mine'), 'unknownSigner')
  })

  it('refuses a request that is not PEM', async () => {
    const authority = await createAuthority('kubernetes', systemClock)
    const asked = { request: 'x', usages, signerName: KUBE_APISERVER_CLIENT_SIGNER }
    assert.deepEqual(await signCertificateRequest(authority, systemClock, asked), {
      type: 'refused',
      message: 'PEM block type must be CERTIFICATE REQUEST',
    })
  })
})

/** One mutual-TLS handshake; returns the subject that the server saw. */
async function handshake(
  certificates: Awaited<ReturnType<typeof openClusterCertificates>>,
  client: { certificatePem: string; keyPem: string },
): Promise<{ CN: string; O: unknown }> {
  const { authority, serving } = certificates
  const ca = authority.certificatePem
  const server = createServer({
    ca,
    cert: serving.certificatePem,
    key: serving.keyPem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const seen = new Promise<{ CN: string; O: unknown }>((resolve, reject) => {
    server.on('secureConnection', (socket: TLSSocket) => {
      resolve({ ...socket.getPeerCertificate().subject } as unknown as { CN: string; O: unknown })
      socket.end()
    })
    server.on('tlsClientError', reject)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const socket = connect({ port, host: '127.0.0.1', ca, cert: client.certificatePem, key: client.keyPem })
  try {
    return await seen
  } finally {
    socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}
