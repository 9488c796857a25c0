import { startGateway, type Gateway } from '@centaurus/partition/gateway'
import { systemClock, systemRandom, type Logger } from '@centaurus/base'
import { markReady, registerDaemon } from '../daemons.ts'
import { readGatewaySettings, type GatewaySettings } from '../gateway-home.ts'
import { readGatewayIdentity } from '../gateway-identity.ts'
import type { Home } from '../home.ts'
import { createLogger } from '../logger.ts'
import { untilStopped } from '../signals.ts'
import { UserError } from '../user-error.ts'

/** Runs the gateway of `home` until it is told to stop. It takes requests at once, and answers 503 until it knows the cluster. */
export async function runGateway(home: Home): Promise<void> {
  registerDaemon(home, 'gateway-server')
  const settings = readGatewaySettings(home)
  const logger = createLogger()
  const stopped = untilStopped()
  const gateway = await start(home, settings, logger).catch((error: unknown) => explainStart(error, settings))
  markReady(home, 'gateway-server')
  logger.info('Started gateway', { port: gateway.port })
  gateway.whenKnown().then(
    () => logger.info('Read the registry of partitions and tenants'),
    () => {}, // closed before
  )
  await stopped
  logger.info('Stopping gateway')
  await gateway.close()
}

function start(home: Home, { port, listen, endpoints }: GatewaySettings, logger: Logger): Promise<Gateway> {
  const { ca, cert, key, servingCert, servingKey } = readGatewayIdentity(home)
  return startGateway({
    endpoints,
    serving: { certificate: servingCert, key: servingKey, clientAuthority: ca },
    tls: { ca, cert, key },
    port,
    host: listen,
    clock: systemClock,
    random: systemRandom,
    logger,
  })
}

function explainStart(error: unknown, { port, listen }: GatewaySettings): never {
  const { code } = error as NodeJS.ErrnoException
  const where = listen === undefined ? `port ${port}` : `${listen}, port ${port}`
  if (code === 'EADDRINUSE') {
    throw new UserError(
      `Cannot listen on ${where}: it is in use by another program. Stop that program (ss -ltnp shows it) or choose another port: ./centaurus gateway --port 8444`,
      { cause: error },
    )
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    throw new UserError(`Cannot listen on ${where}: ${(error as Error).message}`, { cause: error })
  }
  throw error
}
