import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { systemClock, type Clock } from '@centaurus/base'
import {
  certificateExpiryMs,
  createAuthority,
  issueCertificate,
  type CertificateIdentity,
  type IssueOptions,
} from './authority.ts'
import { generateKeyPem, type CertificateAndKey } from './key-pair.ts'

/** A certificate with less than this left is replaced when the server starts. */
const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000
const KEY_FILE_MODE = 0o600
const CERTIFICATE_FILE_MODE = 0o644
const DIRECTORY_MODE = 0o700
/** Names by which pods and people reach the API server. Source: kubeadm's GetAPIServerAltNames. */
const SERVING_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
  '127.0.0.1',
] as const

export interface ClusterCertificatesOptions {
  /** Where they are kept; absent: in memory only, for tests. */
  readonly directory?: string | undefined
  /** Names and addresses of the API server beyond `kubernetes.default…`, `localhost` and `127.0.0.1`. */
  readonly alternativeNames?: readonly string[] | undefined
  readonly clock?: Clock | undefined
}

/** What a cluster needs to trust and be trusted. PEM throughout. */
export interface ClusterCertificates {
  /** Signs and verifies both servers and clients of the cluster. */
  readonly authority: CertificateAndKey
  /** For the HTTPS listener. */
  readonly serving: CertificateAndKey
  /** Signs service-account tokens (ES256). */
  readonly serviceAccountKeyPem: string
  /**
   * A client certificate for this user, kept under `file` (such as `admin`: `admin.crt` and `admin.key`) and made again when it is
   * close to its end or names another identity.
   */
  client(file: string, identity: CertificateIdentity): Promise<CertificateAndKey>
  /** A certificate with which a server of the cluster, such as a node agent, proves its names. Kept like a client's. */
  server(
    file: string,
    options: CertificateIdentity & { readonly alternativeNames: readonly string[] },
  ): Promise<CertificateAndKey>
}

/** The user as which the API server calls node agents. Source: kubeadm's apiserver-kubelet-client certificate. */
export const KUBELET_CLIENT_IDENTITY: CertificateIdentity = {
  commonName: 'kube-apiserver-kubelet-client',
  organizations: ['system:masters'],
}

/**
 * Opens the cluster's certificates, making what is missing, damaged or near its end. The authority is never replaced while it can
 * be read: that would lock every client out. Throws when a file cannot be read or written.
 */
export async function openClusterCertificates(options: ClusterCertificatesOptions = {}): Promise<ClusterCertificates> {
  const clock = options.clock ?? systemClock
  const files = options.directory === undefined ? createMemoryFiles() : await openDirectory(options.directory)
  const authority = await openAuthority(files, clock)
  const pending = new Map<string, Promise<CertificateAndKey>>()
  const leaf = (file: string, request: IssueOptions): Promise<CertificateAndKey> => {
    // one after the other: two callers that ask for the same file must get the same certificate
    const opened = (pending.get(file) ?? Promise.resolve())
      .catch(() => {})
      .then(() => openLeaf({ files, clock, authority }, file, request))
    pending.set(file, opened)
    return opened
  }
  return {
    authority,
    serving: await leaf('apiserver', {
      commonName: 'kube-apiserver',
      usages: ['server auth'],
      alternativeNames: [...new Set([...SERVING_NAMES, ...(options.alternativeNames ?? [])])],
    }),
    serviceAccountKeyPem: await openKey(files, 'sa.key'),
    client: (file, identity) => leaf(file, { ...identity, usages: ['client auth'] }),
    server: (file, identity) => leaf(file, { ...identity, usages: ['server auth'] }),
  }
}

/** This machine's name and addresses, for the serving certificate; without link-local ones, which come and go. */
export function hostAlternativeNames(): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map((entry) => entry.address)
    .filter((address) => !/^(fe80:|169\.254\.)/i.test(address))
  return [...new Set([hostname().toLowerCase(), ...addresses])]
}

interface Files {
  /** Undefined when there is none. */
  read(name: string): Promise<string | undefined>
  write(name: string, text: string, mode: number): Promise<void>
}

interface LeafDeps {
  readonly files: Files
  readonly clock: Clock
  readonly authority: CertificateAndKey
}

async function openAuthority(files: Files, clock: Clock): Promise<CertificateAndKey> {
  const found = await readPair(files, 'ca')
  if (found !== undefined) return found
  const made = await createAuthority('kubernetes', clock)
  await writePair(files, 'ca', made)
  return made
}

async function openLeaf(
  { files, clock, authority }: LeafDeps,
  file: string,
  request: IssueOptions,
): Promise<CertificateAndKey> {
  const found = await readPair(files, file)
  if (found !== undefined && isUsable(found, { authority, request, nowMs: clock.now() })) return found
  const made = await issueCertificate(authority, clock, request)
  await writePair(files, file, made)
  return made
}

async function openKey(files: Files, name: string): Promise<string> {
  const found = await files.read(name)
  if (found !== undefined) return found
  const made = generateKeyPem()
  await files.write(name, made, KEY_FILE_MODE)
  return made
}

function isUsable(
  pair: CertificateAndKey,
  { authority, request, nowMs }: { authority: CertificateAndKey; request: IssueOptions; nowMs: number },
): boolean {
  const certificate = new X509Certificate(pair.certificatePem)
  const issuer = new X509Certificate(authority.certificatePem)
  return (
    certificateExpiryMs(pair.certificatePem) - nowMs > RENEW_BEFORE_MS &&
    certificate.checkIssued(issuer) &&
    certificate.checkPrivateKey(createPrivateKey(pair.keyPem)) &&
    sameIdentity(certificate, request) &&
    (request.alternativeNames ?? []).every((name) => namesOf(certificate).has(canonicalName(name)))
  )
}

function sameIdentity(certificate: X509Certificate, request: CertificateIdentity): boolean {
  const lines = certificate.subject.split('\n')
  const wanted = [...(request.organizations ?? []).map((group) => `O=${group}`), `CN=${request.commonName}`]
  return lines.length === wanted.length && wanted.every((line) => lines.includes(line))
}

function namesOf(certificate: X509Certificate): Set<string> {
  const names = (certificate.subjectAltName ?? '').split(', ')
  return new Set(names.map((name) => canonicalName(name.replace(/^(DNS|IP Address):/, ''))))
}

/** Certificates spell IPv6 addresses in full and in capitals. */
function canonicalName(name: string): string {
  if (!name.includes(':')) return name.toLowerCase()
  return new URL(`http://[${name}]/`).hostname
}

async function readPair(files: Files, name: string): Promise<CertificateAndKey | undefined> {
  const [certificatePem, keyPem] = await Promise.all([files.read(`${name}.crt`), files.read(`${name}.key`)])
  return certificatePem === undefined || keyPem === undefined ? undefined : { certificatePem, keyPem }
}

async function writePair(files: Files, name: string, pair: CertificateAndKey): Promise<void> {
  await files.write(`${name}.key`, pair.keyPem, KEY_FILE_MODE)
  await files.write(`${name}.crt`, pair.certificatePem, CERTIFICATE_FILE_MODE)
}

function createMemoryFiles(): Files {
  const contents = new Map<string, string>()
  return {
    read: async (name) => contents.get(name),
    write: async (name, text) => void contents.set(name, text),
  }
}

async function openDirectory(directory: string): Promise<Files> {
  await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE })
  return {
    async read(name) {
      try {
        return await readFile(join(directory, name), 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw new Error(`Cannot read certificate file "${join(directory, name)}": it must be readable by this user`, {
          cause: error,
        })
      }
    },
    async write(name, text, mode) {
      const path = join(directory, name)
      const partial = `${path}.${process.pid}.tmp`
      await writeFile(partial, text, { mode })
      await rename(partial, path) // so that a crash leaves no half-written key
    },
  }
}
