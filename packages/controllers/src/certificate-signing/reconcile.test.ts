import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createAccessExtension, createTokenSigner } from '@centaurus/apiserver'
import {
  createAuthority,
  createCertificateRequest,
  generateKeyPem,
  isSignedBy,
  openClusterCertificates,
  parseCertificateRequest,
  signCertificateRequest,
  type CertificateAndKey,
} from '@centaurus/apiserver/certificates'
import { isStatus } from '@centaurus/api'
import { certificatesigningrequests, type CertificateSigningRequest } from '@centaurus/api/certificates/v1'
import { createSeededRandom, silentLogger, systemClock, type Clock } from '@centaurus/base'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import {
  startCertificateApprovingController,
  startCertificateCleanerController,
  startCertificateSigningController,
} from './reconcile.ts'
import type { CertificateSigner } from './signer.ts'

const NODE = { commonName: 'system:node:n1', organizations: ['system:nodes'] }
const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
const SERVING_SIGNER = 'kubernetes.io/kubelet-serving'
const USAGES = ['digital signature', 'client auth']

describe('certificate signing requests on a real API server', () => {
  let plane: ControlPlane
  let authority: CertificateAndKey
  before(async () => {
    const { serviceAccountKeyPem } = await openClusterCertificates()
    authority = await createAuthority('test', systemClock)
    const certificateSigner: CertificateSigner = {
      parse: parseCertificateRequest,
      sign: (asked) => signCertificateRequest(authority, systemClock, asked),
    }
    plane = await startControlPlane({
      extensions: [createAccessExtension({ signer: createTokenSigner({ keyPem: serviceAccountKeyPem }) })],
      controllers: [
        (deps) => startCertificateApprovingController({ ...deps, certificateSigner }),
        (deps) => startCertificateSigningController({ ...deps, certificateSigner }),
      ],
    })
  })
  after(() => plane.close())

  const read = (name: string): Promise<CertificateSigningRequest> =>
    plane.client.get(certificatesigningrequests, { name })
  const ask = async (name: string, signerName: string, usages: string[]): Promise<CertificateSigningRequest> => {
    const pem = await createCertificateRequest(generateKeyPem(), NODE)
    return plane.client.create(certificatesigningrequests, {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      spec: { request: Buffer.from(pem).toString('base64'), signerName, usages },
    })
  }

  it('approves and signs the client certificate of a node agent', async () => {
    await ask('joins', CLIENT_SIGNER, USAGES)
    const { status } = await plane.eventually(async () => {
      const found = await read('joins')
      return found.status?.certificate !== undefined && found
    })
    assert.equal(status?.conditions?.[0]?.reason, 'AutoApproved')
    assert.equal(isSignedBy(Buffer.from(status!.certificate!, 'base64').toString(), authority), true)
  })

  it('leaves serving certificates to people, and tells why an approved one is refused', async () => {
    const asked = await ask('serves', SERVING_SIGNER, ['digital signature', 'server auth'])
    assert.equal((await read('serves')).status?.conditions, undefined)
    const approval = { type: 'Approved', status: 'True', reason: 'ByHand', message: 'm' }
    const approved = { ...asked, status: { conditions: [approval] } }
    await plane.client.updateSubresource(certificatesigningrequests, { name: 'serves' }, 'approval', approved)
    const failed = await plane.eventually(async () =>
      (await read('serves')).status?.conditions?.find(({ type }) => type === 'Failed'),
    )
    assert.deepEqual(
      [failed.reason, failed.message],
      ['SignerValidationFailure', 'DNS or IP subjectAltName is required'],
    )
  })

  it('removes requests that are done', async () => {
    const later: Clock = { ...systemClock, now: () => Date.now() + 2 * 3_600_000 }
    const { client, informers } = plane
    const parts = { random: createSeededRandom(1), logger: silentLogger }
    const cleaner = startCertificateCleanerController({ client, informers, clock: later, ...parts })
    await plane.eventually(() =>
      read('joins').then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
    await cleaner.close()
  })
})
