import { existsSync, rmSync } from 'node:fs'
import type { ListrTask } from 'listr2'
import { partitions } from '@centaurus/api/centaurus/v1'
import { createKubeconfig, openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { connectAsAdmin } from '../cluster-access.ts'
import { stopDaemon } from '../daemons.ts'
import {
  gatewayHome,
  readGatewaySettings,
  writeGatewayKubeconfig,
  writeGatewaySettings,
  type GatewayPlace,
} from '../gateway-home.ts'
import { issueGatewayIdentity, readGatewayIdentity } from '../gateway-identity.ts'
import type { Home } from '../home.ts'
import { runSteps } from '../progress.ts'
import { DEFAULT_SETTINGS, readSettings } from '../settings.ts'
import { gatewayTask } from '../start-tasks.ts'
import { UserError } from '../user-error.ts'

export interface GatewayFlags {
  /** Default {@link GATEWAY_PORT}. */
  readonly port?: number | undefined
  readonly listen?: string | undefined
  /** Name or address by which clients reach it; default: the address that it listens on, else 127.0.0.1. */
  readonly advertise?: string | undefined
  /** Stop it and forget it. */
  readonly remove?: boolean | undefined
}

export const GATEWAY_PORT = 8443
const REGISTRY_TIMEOUT_MS = 5_000
/** User of the gateway's kubeconfig, as of the cluster's. */
const ADMIN = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }

/** Starts a gateway to the cluster in `home`, or stops and forgets it. Several may run, at different ports; safe to run again. */
export async function gateway(home: Home, flags: GatewayFlags): Promise<void> {
  const port = flags.port ?? GATEWAY_PORT
  const own = gatewayHome(home, port)
  if (flags.remove === true) return removeGateway(own, port)
  if (readSettings(home) === undefined)
    throw new UserError(`There is no cluster in ${home.dir}. Start one with ./centaurus up`)
  const wanted = { port, listen: flags.listen, advertise: flags.advertise }
  const prepare: ListrTask = { title: 'Issue its certificates', task: () => prepareGateway(home, wanted) }
  await runSteps([prepare, gatewayTask({ home: own, name: `gateway at port ${port}` })])
  process.stdout.write(farewell(own, wanted))
}

/**
 * Brings the folder of a gateway up to date: its settings, the addresses of partitions, and certificates that are close to their end.
 * One that runs is stopped when it must start again for that.
 */
export async function prepareGateway(home: Home, place: GatewayPlace): Promise<void> {
  const own = gatewayHome(home, place.port)
  const before = describeGateway(own)
  const certificates = await openClusterCertificates({ directory: home.pkiDir })
  const endpoints = await findEndpoints(home, `https://127.0.0.1:${readSettings(home)?.port ?? DEFAULT_SETTINGS.port}`)
  writeGatewaySettings(own, { ...place, endpoints })
  await issue(own, certificates, place)
  if (before !== undefined && before !== describeGateway(own)) await stopDaemon(own, 'gateway-server')
}

/** All that a gateway reads when it starts, but for addresses of partitions: those it learns. Undefined when it was not set up. */
function describeGateway(own: Home): string | undefined {
  if (!existsSync(own.dir)) return undefined
  const { listen } = readGatewaySettings(own)
  return JSON.stringify([listen, readGatewayIdentity(own)])
}

async function removeGateway(own: Home, port: number): Promise<void> {
  if (!existsSync(own.dir))
    throw new UserError(`There is no gateway at port ${port}. ./centaurus status shows those there are`)
  await stopDaemon(own, 'gateway-server')
  rmSync(own.dir, { recursive: true })
  process.stdout.write(`The gateway at port ${port} is gone.\n`)
}

async function issue(own: Home, certificates: ClusterCertificates, place: GatewayPlace): Promise<void> {
  await issueGatewayIdentity(own, certificates, place)
  const admin = await certificates.client('admin', ADMIN)
  const kubeconfig = createKubeconfig({
    server: urlOf(place),
    ca: certificates.authority.certificatePem,
    cert: admin.certificatePem,
    key: admin.keyPem,
  })
  writeGatewayKubeconfig(own, kubeconfig)
}

/** Addresses of all partitions, so that a gateway that starts while home is away finds another. */
async function findEndpoints(home: Home, local: string): Promise<string[]> {
  if (!existsSync(home.kubeconfig)) return [local]
  const client = await connectAsAdmin(home)
  try {
    const { items } = await client.list(partitions, { signal: AbortSignal.timeout(REGISTRY_TIMEOUT_MS) })
    return [...new Set([local, ...items.flatMap(({ spec }) => spec.endpoints)])]
  } catch {
    return [local] // it is down: the gateway waits for it
  } finally {
    await client.close()
  }
}

function urlOf({ port, listen, advertise }: GatewayPlace): string {
  const host = advertise ?? (listen === undefined || /^(0\.0\.0\.0|::)$/.test(listen) ? '127.0.0.1' : listen)
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function farewell(own: Home, place: GatewayPlace): string {
  return `
The gateway is up at ${urlOf(place)}. Its kubeconfig is ${own.kubeconfig}

Try:
  ./centaurus kubectl --kubeconfig ${own.kubeconfig} get nodes
  curl -k ${urlOf(place)}/readyz?verbose
`
}
