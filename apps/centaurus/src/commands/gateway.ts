import { existsSync, rmSync } from 'node:fs'
import { Listr, type ListrTask } from 'listr2'
import { partitions } from '@centaurus/api/centaurus/v1'
import { createKubeconfig, openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { connectAsAdmin } from '../cluster-access.ts'
import { stopDaemon } from '../daemons.ts'
import {
  gatewayHome,
  readGatewaySettings,
  writeGatewayKubeconfig,
  writeGatewaySettings,
  type GatewaySettings,
} from '../gateway-home.ts'
import { issueGatewayIdentity } from '../gateway-identity.ts'
import type { Home } from '../home.ts'
import { LISTR_OPTIONS } from '../progress.ts'
import { readSettings } from '../settings.ts'
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
  const settings = readSettings(home)
  if (settings === undefined) throw new UserError(`There is no cluster in ${home.dir}. Start one with ./centaurus up`)
  const prepare: ListrTask = {
    title: 'Issue its certificates',
    task: async () => {
      const certificates = await openClusterCertificates({ directory: home.pkiDir })
      const endpoints = await findEndpoints(home, `https://127.0.0.1:${settings.port}`)
      const wanted: GatewaySettings = { port, listen: flags.listen, endpoints }
      if (hasChanged(own, wanted)) await stopDaemon(own, 'gateway-server')
      writeGatewaySettings(own, wanted)
      await issue(own, certificates, flags)
    },
  }
  await new Listr([prepare, gatewayTask({ home: own, name: `gateway at port ${port}` })], LISTR_OPTIONS).run()
  process.stdout.write(farewell(own, hostOf(flags), port))
}

async function removeGateway(own: Home, port: number): Promise<void> {
  if (!existsSync(own.dir)) throw new UserError(`There is no gateway at port ${port}`)
  await stopDaemon(own, 'gateway-server')
  rmSync(own.dir, { recursive: true })
  process.stdout.write(`The gateway at port ${port} is gone.\n`)
}

async function issue(own: Home, certificates: ClusterCertificates, flags: GatewayFlags): Promise<void> {
  const names = [flags.listen, flags.advertise].flatMap((name) => name ?? [])
  await issueGatewayIdentity(own, certificates, { names })
  const admin = await certificates.client('admin', ADMIN)
  const kubeconfig = createKubeconfig({
    server: `https://${hostOf(flags)}:${flags.port ?? GATEWAY_PORT}`,
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

function hasChanged(own: Home, wanted: GatewaySettings): boolean {
  if (!existsSync(own.dir)) return false
  const { listen } = readGatewaySettings(own)
  return listen !== wanted.listen
}

function hostOf({ advertise, listen }: GatewayFlags): string {
  const host = advertise ?? (listen === undefined || /^(0\.0\.0\.0|::)$/.test(listen) ? '127.0.0.1' : listen)
  return host.includes(':') ? `[${host}]` : host
}

function farewell(own: Home, host: string, port: number): string {
  return `
The gateway is up at https://${host}:${port}. Its kubeconfig is ${own.kubeconfig}

Try:
  ./centaurus kubectl --kubeconfig ${own.kubeconfig} get nodes
  curl -k https://${host}:${port}/readyz?verbose
`
}
