import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509'
import type { EtcdTls } from '../etcd/grpc-session.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 60 * 60_000

export interface EtcdCertificates {
  /** What a client needs. */
  readonly client: EtcdTls
  readonly clientFiles: { readonly ca: string; readonly cert: string; readonly key: string }
  /** etcd's flags: serve over TLS, and take only clients with a certificate of this authority. */
  readonly serverFlags: readonly string[]
}

/** Makes an authority, a server's and a client's certificate for a test, and writes them to `directory`. Servers are at loopback and `addresses`. */
export async function writeEtcdCertificates(
  directory: string,
  addresses: readonly string[] = [],
): Promise<EtcdCertificates> {
  const authority = await issue('etcd-ca', { addresses: [] })
  const server = await issue('etcd', { authority, addresses })
  const client = await issue('centaurus', { authority, addresses: [] })
  const write = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const ca = write('ca.crt', authority.certificatePem)
  const clientFiles = {
    ca,
    cert: write('client.crt', client.certificatePem),
    key: write('client.key', client.keyPem),
  }
  const serverFlags = [
    `--cert-file=${write('server.crt', server.certificatePem)}`,
    `--key-file=${write('server.key', server.keyPem)}`,
    `--trusted-ca-file=${ca}`,
    '--client-cert-auth',
    '--enable-grpc-gateway=false', // it calls etcd itself, with a server's certificate
  ]
  const tls = { ca: authority.certificatePem, cert: client.certificatePem, key: client.keyPem }
  return { client: tls, clientFiles, serverFlags }
}

interface Issued {
  readonly certificate: X509Certificate
  readonly certificatePem: string
  readonly keyPem: string
  readonly keys: webcrypto.CryptoKeyPair
}

/** Signed by `authority`, or by itself as an authority. */
async function issue(
  commonName: string,
  { authority, addresses }: { readonly authority?: Issued; readonly addresses: readonly string[] },
): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const now = Date.now()
  const certificate = await X509CertificateGenerator.create(
    {
      subject: `CN=${commonName}`,
      issuer: authority?.certificate.subject ?? `CN=${commonName}`,
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + DAY_MS),
      publicKey: keys.publicKey,
      signingKey: (authority?.keys ?? keys).privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(authority === undefined, undefined, true),
        new SubjectAlternativeNameExtension([
          { type: 'ip', value: '127.0.0.1' },
          { type: 'dns', value: 'localhost' },
          ...addresses.map((value) => ({ type: 'ip' as const, value })),
        ]),
      ],
    },
    webcrypto,
  )
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${pkcs8.match(/.{1,64}/g)!.join('\n')}\n-----END PRIVATE KEY-----\n`
  return { certificate, certificatePem: `${certificate.toString('pem')}\n`, keyPem, keys }
}
