import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GATEWAYS_GROUP } from '@centaurus/api'
import { hostAlternativeNames, type CertificateAndKey, type ClusterCertificates } from '@centaurus/apiserver'
import { writeWhole, type GatewayPlace } from './gateway-home.ts'
import type { Home } from './home.ts'

/** What a gateway needs to know API servers and clients, and to be known by them. PEM. */
export interface GatewayIdentity {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly servingCert: string
  readonly servingKey: string
}

const CLIENT_FILE = 'gateway'
const SERVING_FILE = 'gateway-serving'
const KEY_MODE = 0o600

/** Gives the gateway in `home` its certificates, made again when they are close to their end. */
export async function issueGatewayIdentity(
  home: Home,
  certificates: ClusterCertificates,
  { port, listen, advertise }: GatewayPlace,
): Promise<void> {
  const client = await certificates.client(CLIENT_FILE, {
    commonName: 'system:gateway',
    organizations: [GATEWAYS_GROUP],
  })
  const names = [listen, advertise].flatMap((name) => name ?? [])
  const alternativeNames = [...new Set(['localhost', '127.0.0.1', ...hostAlternativeNames(), ...names])]
  const serving = await certificates.server(`${SERVING_FILE}-${port}`, {
    commonName: 'centaurus-gateway',
    alternativeNames,
  })
  mkdirSync(home.pkiDir, { recursive: true, mode: 0o700 })
  writeWhole(join(home.pkiDir, 'ca.crt'), certificates.authority.certificatePem, 0o644)
  writePair(home, CLIENT_FILE, client)
  writePair(home, SERVING_FILE, serving)
}

function writePair(home: Home, file: string, { certificatePem, keyPem }: CertificateAndKey): void {
  writeWhole(join(home.pkiDir, `${file}.key`), keyPem, KEY_MODE)
  writeWhole(join(home.pkiDir, `${file}.crt`), certificatePem, 0o644)
}

/** Throws when it was not issued. */
export function readGatewayIdentity(home: Home): GatewayIdentity {
  const read = (name: string): string => readFileSync(join(home.pkiDir, name), 'utf8')
  return {
    ca: read('ca.crt'),
    cert: read(`${CLIENT_FILE}.crt`),
    key: read(`${CLIENT_FILE}.key`),
    servingCert: read(`${SERVING_FILE}.crt`),
    servingKey: read(`${SERVING_FILE}.key`),
  }
}
