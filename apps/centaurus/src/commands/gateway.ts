import { existsSync, rmSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Listr, type ListrTask } from 'listr2'
import { partitions } from '@centaurus/api/centaurus/v1'
import { createKubeconfig, openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { connectAsAdmin } from '../cluster-access.ts'
import { isMarkedReady, isSupervised, logFile, logTail, startDaemon, stopDaemon } from '../daemons.ts'
import {
  gatewayHome,
  issueGatewayIdentity,
  listGateways,
  readGatewaySettings,
  writeGatewayKubeconfig,
  writeGatewaySettings,
  type GatewaySettings,
} from '../gateway-home.ts'
import type { Home } from '../home.ts'
import { LISTR_OPTIONS } from '../progress.ts'
import { readSettings } from '../settings.ts'
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
const START_TIMEOUT_MS = 30_000
const POLL_MS = 25
const LOG_LINES = 15
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
  await new Listr([prepare, startTask(own)], LISTR_OPTIONS).run()
  process.stdout.write(farewell(own, hostOf(flags), port))
}

/** The steps of starting again what was set up before. */
export function gatewayTasks(home: Home): ListrTask[] {
  return listGateways(home).map(({ home: own, port }) => startTask(own, ` at port ${port}`))
}

/** Stops all that were set up. */
export async function stopGateways(home: Home): Promise<void> {
  await Promise.all(listGateways(home).map(({ home: own }) => stopDaemon(own, 'gateway-server')))
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

function startTask(own: Home, suffix = ''): ListrTask {
  return {
    title: `Start the gateway${suffix}`,
    task: async (_, task) => {
      if (isSupervised(own, 'gateway-server') && isMarkedReady(own, 'gateway-server')) {
        return task.skip('The gateway is already up')
      }
      const log = logFile(own, 'gateway-server')
      const offset = existsSync(log) ? statSync(log).size : 0
      startDaemon(own, 'gateway-server')
      await waitUntilReady(own, offset)
    },
  }
}

async function waitUntilReady(own: Home, offset: number): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (!isMarkedReady(own, 'gateway-server')) {
    const tail = logTail(own, 'gateway-server', { offset, lines: LOG_LINES })
    if (!isSupervised(own, 'gateway-server')) throw new UserError(reasonIn(tail))
    if (performance.now() > deadline) {
      throw new UserError(`The gateway is not ready after ${START_TIMEOUT_MS / 1000} s. Its last lines:\n${tail}`)
    }
    await delay(POLL_MS)
  }
}

/** A daemon that stops for a reason that people can mend prints it as plain text, last. */
function reasonIn(tail: string): string {
  const reason = tail.split('\n').findLast((line) => line.startsWith('centaurus: '))
  return reason?.slice('centaurus: '.length) ?? `The gateway stopped. Its last lines:\n${tail}`
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
