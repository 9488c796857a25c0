import { createServer, type Server } from 'node:http'
import type { Logger } from '@centaurus/base'
import { answerHealthCheck, type HealthCheck } from './health-check.ts'

export interface HealthCheckServerDeps {
  readonly logger: Logger
  /** Whether services are programmed as they should be; `serviceProxyHealthy` of the answers. */
  isHealthy(): boolean
  /** Address to listen on; default: every one of the host, as kube-proxy. */
  readonly address?: string | undefined
}

export interface HealthCheckServer {
  /** Opens the ports of new checks, closes those of others. Resolves when all that can be open are; one that cannot is logged and tried at the next call. */
  apply(checks: readonly HealthCheck[]): Promise<void>
  close(): Promise<void>
}

interface OpenPort {
  check: HealthCheck
  readonly server: Server
}

/** Answers load balancers that ask whether this host has endpoints of a Service. */
export function createHealthCheckServer(deps: HealthCheckServerDeps): HealthCheckServer {
  const open = new Map<number, OpenPort>()
  const applyNow = async (checks: readonly HealthCheck[]): Promise<void> => {
    const wanted = new Map(checks.map((check) => [check.port, check]))
    for (const [port, { server }] of open) {
      if (wanted.has(port)) continue
      open.delete(port)
      await closeServer(server)
    }
    for (const [port, check] of wanted) {
      const known = open.get(port)
      if (known !== undefined) {
        known.check = check
        continue
      }
      const opened = await openPort(check, deps)
      if (opened !== undefined) open.set(port, opened)
    }
  }
  let working: Promise<void> = Promise.resolve()
  const inTurn = (checks: readonly HealthCheck[]): Promise<void> => (working = working.then(() => applyNow(checks)))
  return { apply: inTurn, close: () => inTurn([]) }
}

async function openPort(
  check: HealthCheck,
  { logger, isHealthy, address = '0.0.0.0' }: HealthCheckServerDeps,
): Promise<OpenPort | undefined> {
  const opened: OpenPort = {
    check,
    server: createServer((_, response) => {
      const { status, headers, body } = answerHealthCheck(opened.check, { isHealthy: isHealthy() })
      response.writeHead(status, headers).end(body)
    }),
  }
  try {
    await new Promise<void>((resolve, reject) => {
      opened.server.once('error', reject)
      opened.server.listen(check.port, address, resolve)
    })
    return opened
  } catch (error) {
    const service = `${check.namespace}/${check.name}`
    logger.warn('Could not open health-check node port', { service, port: check.port, error })
    return undefined
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
