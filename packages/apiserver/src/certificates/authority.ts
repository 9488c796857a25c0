import { randomBytes, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Clock } from '@centaurus/base'
import type { Extension, GeneralNameType, JsonName, PublicKeyType } from '@peculiar/x509'
import { generateKeyPem, KEY_ALGORITHM, toSigningKey, toVerifyKey, type CertificateAndKey } from './key-pair.ts'
import { loadX509 } from './x509.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** Source: kubeadm's defaults (CertificateAuthorityValidity 10 years, CertificateValidity 1 year). */
const AUTHORITY_VALIDITY_MS = 3650 * DAY_MS
const CERTIFICATE_VALIDITY_MS = 365 * DAY_MS
/** Certificates start in the past, for hosts whose clocks run behind. Source: upstream's CSR signer backdates as much. */
export const BACKDATE_MS = 5 * 60 * 1000
const SERIAL_BYTES = 16

/** Uses that a certificate may be put to, in the words of certificates.k8s.io. */
export type ExtendedUsage = 'server auth' | 'client auth'

export interface CertificateIdentity {
  /** CN: the user name, of a client. */
  readonly commonName: string
  /** O, one each: the groups, of a client. */
  readonly organizations?: readonly string[] | undefined
}

export interface IssueOptions extends CertificateIdentity {
  readonly usages: readonly ExtendedUsage[]
  /** DNS names and IP addresses, mixed. */
  readonly alternativeNames?: readonly string[] | undefined
  /** Default one year; never beyond the authority's own end. */
  readonly validityMs?: number | undefined
}

const USAGE_OIDS: Readonly<Record<ExtendedUsage, string>> = {
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
}

/** A new self-signed certificate authority with an EC P-256 key. */
export async function createAuthority(commonName: string, clock: Clock): Promise<CertificateAndKey> {
  const x509 = await loadX509()
  const keyPem = generateKeyPem()
  const publicKey = toVerifyKey(keyPem)
  const now = clock.now()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: toName({ commonName }),
    issuer: toName({ commonName }),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + AUTHORITY_VALIDITY_MS),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey,
    signingKey: toSigningKey(keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      toAlternativeNames(x509, [commonName]),
    ],
  })
  return { certificatePem: withNewline(certificate.toString('pem')), keyPem }
}

/** A certificate for a new key, signed by `authority`. About 3 ms once the library is loaded. */
export async function issueCertificate(
  authority: CertificateAndKey,
  clock: Clock,
  options: IssueOptions,
): Promise<CertificateAndKey> {
  const x509 = await loadX509()
  const keyPem = generateKeyPem()
  const names = options.alternativeNames ?? []
  const certificatePem = await signCertificate(authority, clock, {
    subject: toName(options),
    publicKey: toVerifyKey(keyPem),
    validityMs: options.validityMs ?? CERTIFICATE_VALIDITY_MS,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(options.usages.map((usage) => USAGE_OIDS[usage])),
      ...(names.length === 0 ? [] : [toAlternativeNames(x509, names)]),
    ],
  })
  return { certificatePem, keyPem }
}

export interface SignOptions {
  readonly subject: JsonName | string
  readonly publicKey: PublicKeyType
  readonly validityMs: number
  readonly extensions: readonly Extension[]
}

/** Signs a leaf certificate (PEM) whose other contents the caller has decided. */
export async function signCertificate(
  authority: CertificateAndKey,
  clock: Clock,
  options: SignOptions,
): Promise<string> {
  const x509 = await loadX509()
  const issuer = new x509.X509Certificate(authority.certificatePem)
  const now = clock.now()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: options.subject,
    issuer: issuer.subject,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(Math.min(now + options.validityMs, issuer.notAfter.getTime())),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: options.publicKey,
    signingKey: toSigningKey(authority.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...options.extensions,
    ],
  })
  return withNewline(certificate.toString('pem'))
}

/** End of a PEM certificate's life, in milliseconds since the epoch. */
export function certificateExpiryMs(certificatePem: string): number {
  return new X509Certificate(certificatePem).validToDate.getTime()
}

/** Go's parser takes organizations one by one, so each group is an RDN of its own. */
function toName({ commonName, organizations = [] }: CertificateIdentity): JsonName {
  return [...organizations.map((group) => ({ O: [group] })), { CN: [commonName] }]
}

function toAlternativeNames(x509: Awaited<ReturnType<typeof loadX509>>, names: readonly string[]): Extension {
  const entries = names.map((value) => {
    const type: GeneralNameType = isIP(value) === 0 ? 'dns' : 'ip'
    return { type, value }
  })
  return new x509.SubjectAlternativeNameExtension(entries)
}

/** Positive and unique: 128 random bits with the top one clear. Source: RFC 5280 section 4.1.2.2. */
function newSerialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes.toString('hex')
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`
}
