import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Clock } from '@centaurus/base'
import type { Extension, GeneralName, Pkcs10CertificateRequest } from '@peculiar/x509'
import { signCertificate } from './authority.ts'
import { KEY_ALGORITHM, type CertificateAndKey } from './key-pair.ts'
import { loadX509 } from './x509.ts'

/** Signers that the cluster answers for. Source: certificates/v1 types.go. */
export const KUBE_APISERVER_CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client'
export const KUBE_APISERVER_CLIENT_KUBELET_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
export const KUBELET_SERVING_SIGNER = 'kubernetes.io/kubelet-serving'

/** Source: kube-controller-manager's --cluster-signing-duration default. */
const SIGNING_DURATION_MS = 365 * 24 * 60 * 60 * 1000
/** A shorter request is given this. Source: pkg/controller/certificates/signer/signer.go. */
const SIGNING_DURATION_MIN_MS = 10 * 60 * 1000
const ALTERNATIVE_NAME_OID = '2.5.29.17'

export interface SigningRequest {
  /** PEM, `CERTIFICATE REQUEST`. */
  readonly request: string
  readonly signerName: string
  readonly usages: readonly string[]
  readonly expirationSeconds?: number | undefined
}

export type SigningResult =
  | { readonly type: 'signed'; readonly certificatePem: string }
  /** The request breaks a rule of its signer; `message` goes into a Failed condition with reason SignerValidationFailure. */
  | { readonly type: 'refused'; readonly message: string }
  /** Not one of our signers: leave the request alone. */
  | { readonly type: 'unknownSigner' }

/** What a certificate signing request asks for, as far as rules and approvers look at it. */
export interface RequestedIdentity {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
}

/**
 * Signs an approved certificate signing request as its `kubernetes.io/*` signer does: subject and alternative names are the
 * request's, usages are the object's, life is what was asked for within bounds. About 5 ms.
 * Source: pkg/controller/certificates/signer/signer.go and pkg/apis/certificates/helpers.go (v1.37).
 */
export async function signCertificateRequest(
  authority: CertificateAndKey,
  clock: Clock,
  asked: SigningRequest,
): Promise<SigningResult> {
  const check = SIGNER_RULES[asked.signerName]
  if (check === undefined) return { type: 'unknownSigner' }
  const x509 = await loadX509()
  const parsed = await parseRequest(asked.request)
  if (typeof parsed === 'string') return { type: 'refused', message: parsed }
  const refusal = check(identityOf(x509, parsed), new Set(asked.usages))
  if (refusal !== undefined) return { type: 'refused', message: refusal }
  const alternativeNames = parsed.getExtension(ALTERNATIVE_NAME_OID)
  const certificatePem = await signCertificate(authority, clock, {
    subject: parsed.subject,
    publicKey: parsed.publicKey,
    validityMs: signingDurationMs(asked.expirationSeconds),
    extensions: [...usageExtensions(x509, asked.usages), ...(alternativeNames === null ? [] : [alternativeNames])],
  })
  return { type: 'signed', certificatePem }
}

/** Reads a PEM request for an approver. Throws `SyntaxError` when it is not a request whose signature holds. */
export async function parseCertificateRequest(pem: string): Promise<RequestedIdentity> {
  const parsed = await parseRequest(pem)
  if (typeof parsed === 'string') throw new SyntaxError(parsed)
  return identityOf(await loadX509(), parsed)
}

/** A new key and a PEM request for a certificate of that identity, for node agents and tests. */
export async function createCertificateRequest(
  keyPem: string,
  identity: {
    readonly commonName: string
    readonly organizations?: readonly string[]
    readonly alternativeNames?: readonly string[]
  },
): Promise<string> {
  const x509 = await loadX509()
  const key = createPrivateKey(keyPem)
  const names = identity.alternativeNames ?? []
  const extensions: Extension[] = []
  if (names.length > 0) {
    extensions.push(
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
      ),
    )
  }
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [...(identity.organizations ?? []).map((group) => ({ O: [group] })), { CN: [identity.commonName] }],
    keys: {
      privateKey: key.toCryptoKey(KEY_ALGORITHM, false, ['sign']),
      publicKey: createPublicKey(key).toCryptoKey(KEY_ALGORITHM, true, ['verify']),
    },
    signingAlgorithm: KEY_ALGORITHM,
    extensions,
  })
  return `${request.toString('pem').trimEnd()}\n`
}

/** True when `certificatePem` was signed by `authority`. */
export function isSignedBy(certificatePem: string, authority: Pick<CertificateAndKey, 'certificatePem'>): boolean {
  const issuer = new X509Certificate(authority.certificatePem)
  return new X509Certificate(certificatePem).verify(issuer.publicKey)
}

type SignerRule = (identity: RequestedIdentity, usages: ReadonlySet<string>) => string | undefined

const SIGNER_RULES: Readonly<Record<string, SignerRule>> = {
  [KUBE_APISERVER_CLIENT_SIGNER]: (_identity, usages) => {
    const allowed = new Set(['digital signature', 'key encipherment', 'client auth'])
    const strange = [...usages].find((usage) => !allowed.has(usage))
    if (strange !== undefined) return `invalid usage for client certificate: ${strange}`
    return usages.has('client auth') ? undefined : 'missing required usage for client certificate: client auth'
  },
  [KUBE_APISERVER_CLIENT_KUBELET_SIGNER]: (identity, usages) =>
    checkNodeOrganization(identity) ??
    checkNoNames(identity, ['dnsNames', 'emailAddresses', 'ipAddresses', 'uris']) ??
    checkNodeName(identity) ??
    checkUsages(usages, 'client auth'),
  [KUBELET_SERVING_SIGNER]: (identity, usages) =>
    checkNodeOrganization(identity) ??
    (identity.dnsNames.length + identity.ipAddresses.length === 0
      ? 'DNS or IP subjectAltName is required'
      : undefined) ??
    checkNoNames(identity, ['emailAddresses', 'uris']) ??
    checkUsages(usages, 'server auth') ??
    checkNodeName(identity),
}

const NAME_WORDS = {
  dnsNames: 'DNS',
  emailAddresses: 'Email',
  ipAddresses: 'IP',
  uris: 'URI',
} as const

function checkNodeOrganization({ organizations }: RequestedIdentity): string | undefined {
  const isNodes = organizations.length === 1 && organizations[0] === 'system:nodes'
  return isNodes ? undefined : 'subject organization is not system:nodes'
}

function checkNodeName({ commonName }: RequestedIdentity): string | undefined {
  return commonName.startsWith('system:node:') ? undefined : 'subject common name does not begin with system:node:'
}

function checkNoNames(identity: RequestedIdentity, kinds: readonly (keyof typeof NAME_WORDS)[]): string | undefined {
  const found = kinds.find((kind) => identity[kind].length > 0)
  return found === undefined ? undefined : `${NAME_WORDS[found]} subjectAltNames are not allowed`
}

/** Key encipherment is for RSA keys alone, so it may be left out. */
function checkUsages(usages: ReadonlySet<string>, purpose: string): string | undefined {
  const extra = usages.has('key encipherment') ? 3 : 2
  if (usages.size === extra && usages.has('digital signature') && usages.has(purpose)) return undefined
  return `usages did not match [${['digital signature', 'key encipherment', purpose].toSorted().join(' ')}]`
}

function signingDurationMs(expirationSeconds: number | undefined): number {
  if (expirationSeconds === undefined) return SIGNING_DURATION_MS
  return Math.min(Math.max(expirationSeconds * 1000, SIGNING_DURATION_MIN_MS), SIGNING_DURATION_MS)
}

async function parseRequest(pem: string): Promise<Pkcs10CertificateRequest | string> {
  const x509 = await loadX509()
  if (!/-----BEGIN CERTIFICATE REQUEST-----/.test(pem)) return 'PEM block type must be CERTIFICATE REQUEST'
  try {
    const request = new x509.Pkcs10CertificateRequest(pem)
    return (await request.verify()) ? request : 'certificate request signature does not match its public key'
  } catch (error) {
    return `unable to parse certificate request: ${(error as Error).message}`
  }
}

function identityOf(x509: Awaited<ReturnType<typeof loadX509>>, request: Pkcs10CertificateRequest): RequestedIdentity {
  const extension = request.getExtension(ALTERNATIVE_NAME_OID)
  const names = extension === null ? [] : new x509.SubjectAlternativeNameExtension(extension.rawData).names.items
  const ofType = (type: GeneralName['type']): string[] =>
    names.filter((name) => name.type === type).map((name) => name.value)
  return {
    commonName: request.subjectName.getField('CN').at(-1) ?? '',
    organizations: request.subjectName.getField('O'),
    dnsNames: ofType('dns'),
    ipAddresses: ofType('ip'),
    emailAddresses: ofType('email'),
    uris: ofType('url'),
  }
}

function usageExtensions(x509: Awaited<ReturnType<typeof loadX509>>, usages: readonly string[]): Extension[] {
  let flags = 0
  if (usages.includes('digital signature')) flags |= x509.KeyUsageFlags.digitalSignature
  if (usages.includes('key encipherment')) flags |= x509.KeyUsageFlags.keyEncipherment
  const purposes: string[] = []
  if (usages.includes('server auth')) purposes.push(x509.ExtendedKeyUsage.serverAuth)
  if (usages.includes('client auth')) purposes.push(x509.ExtendedKeyUsage.clientAuth)
  return [
    ...(flags === 0 ? [] : [new x509.KeyUsagesExtension(flags, true)]),
    ...(purposes.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(purposes)]),
  ]
}
