import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GATEWAYS_GROUP } from '@centaurus/api'
import { hostAlternativeNames, type CertificateAndKey, type ClusterCertificates } from '@centaurus/apiserver'
import { createHome, findHome, type Home } from './home.ts'
import { UserError } from './user-error.ts'

/** What a gateway was told; kept, so that it starts the same way again. */
export interface GatewaySettings {
  readonly port: number
  /** Address to listen on; absent: all. */
  readonly listen?: string | undefined
  /** API servers of any partitions, to begin with. */
  readonly endpoints: readonly string[]
}

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
const KUBECONFIG_MODE = 0o600

/**
 * Home of the gateway at `port`, within the cluster's. It holds all that the gateway needs: copied to another machine it works there,
 * and it has no key of the cluster's authority.
 */
export function gatewayHome(home: Home, port: number): Home {
  return findHome({ CENTAURUS_HOME: join(gatewaysDir(home), String(port)) })
}

function gatewaysDir(home: Home): string {
  return join(home.dir, 'gateways')
}

/** Those that were set up within the cluster's home, by port. */
export function listGateways(home: Home): { readonly port: number; readonly home: Home }[] {
  const dir = gatewaysDir(home)
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .filter((name) => /^\d+$/.test(name) && existsSync(join(dir, name, 'gateway.json')))
    .map((name) => ({ port: Number(name), home: gatewayHome(home, Number(name)) }))
    .toSorted((a, b) => a.port - b.port)
}

export function writeGatewaySettings(home: Home, settings: GatewaySettings): void {
  createHome(home)
  writeWhole(settingsFile(home), `${JSON.stringify(settings, undefined, 2)}\n`, 0o644)
}

/** Throws {@link UserError} when there are none, or they are damaged. */
export function readGatewaySettings(home: Home): GatewaySettings {
  const file = settingsFile(home)
  try {
    const { port, listen, endpoints } = JSON.parse(readFileSync(file, 'utf8')) as Partial<GatewaySettings>
    if (typeof port !== 'number' || !Array.isArray(endpoints)) throw new Error('it names no port or no endpoints')
    return { port, listen, endpoints }
  } catch (cause) {
    throw new UserError(`Cannot read ${file}: ${(cause as Error).message}. Set it up again: ./centaurus gateway`, {
      cause,
    })
  }
}

function settingsFile(home: Home): string {
  return join(home.dir, 'gateway.json')
}

export interface IssueGatewayOptions {
  /** Names and addresses beyond this machine's by which clients reach it. */
  readonly names: readonly string[]
}

/** Gives the gateway in `home` its certificates, made again when they are close to their end. */
export async function issueGatewayIdentity(
  home: Home,
  certificates: ClusterCertificates,
  { names }: IssueGatewayOptions,
): Promise<void> {
  const client = await certificates.client(CLIENT_FILE, {
    commonName: 'system:gateway',
    organizations: [GATEWAYS_GROUP],
  })
  const alternativeNames = [...new Set(['localhost', '127.0.0.1', ...hostAlternativeNames(), ...names])]
  const serving = await certificates.server(SERVING_FILE, { commonName: 'centaurus-gateway', alternativeNames })
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

export function writeGatewayKubeconfig(home: Home, text: string): void {
  writeWhole(home.kubeconfig, text, KUBECONFIG_MODE)
}

/** So that a crash leaves no half-written file. */
function writeWhole(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode })
  renameSync(`${file}.new`, file)
}
