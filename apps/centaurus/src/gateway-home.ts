import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHome, homeAt, type Home, type NamedHome } from './home.ts'
import { UserError } from './user-error.ts'

/** Where a gateway is reached. */
export interface GatewayPlace {
  readonly port: number
  /** Address to listen on; absent: all. */
  readonly listen?: string | undefined
  /** Name or address by which clients reach it; absent: the one that it listens on, else 127.0.0.1. */
  readonly advertise?: string | undefined
}

/** What a gateway was told; kept, so that it starts the same way again. */
export interface GatewaySettings extends GatewayPlace {
  /** API servers of any partitions, to begin with. */
  readonly endpoints: readonly string[]
}

const KUBECONFIG_MODE = 0o600

/**
 * Home of the gateway at `port`, within the cluster's. It holds all that the gateway needs: copied to another machine it works there,
 * and it has no key of the cluster's authority.
 */
export function gatewayHome(home: Home, port: number): Home {
  return homeAt(join(gatewaysDir(home), String(port)))
}

function gatewaysDir(home: Home): string {
  return join(home.dir, 'gateways')
}

/** Those that were set up within the cluster's home, named `gateway at port 8443`. */
export function listGateways(home: Home): NamedHome[] {
  const dir = gatewaysDir(home)
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .filter((name) => /^\d+$/.test(name) && existsSync(join(dir, name, 'gateway.json')))
    .toSorted((a, b) => Number(a) - Number(b))
    .map((name) => ({ name: `gateway at port ${name}`, home: gatewayHome(home, Number(name)) }))
}

export function writeGatewaySettings(home: Home, settings: GatewaySettings): void {
  createHome(home)
  writeWhole(settingsFile(home), `${JSON.stringify(settings, undefined, 2)}\n`, 0o644)
}

/** Throws {@link UserError} when there are none, or they are damaged. */
export function readGatewaySettings(home: Home): GatewaySettings {
  const file = settingsFile(home)
  try {
    const { port, listen, advertise, endpoints } = JSON.parse(readFileSync(file, 'utf8')) as Partial<GatewaySettings>
    if (typeof port !== 'number' || !Array.isArray(endpoints)) throw new Error('it names no port or no endpoints')
    return { port, listen, advertise, endpoints }
  } catch (cause) {
    throw new UserError(`Cannot read ${file}: ${(cause as Error).message}. Set it up again: ./centaurus gateway`, {
      cause,
    })
  }
}

function settingsFile(home: Home): string {
  return join(home.dir, 'gateway.json')
}

export function writeGatewayKubeconfig(home: Home, text: string): void {
  writeWhole(home.kubeconfig, text, KUBECONFIG_MODE)
}

/** Writes a file so that a crash leaves no half of it. */
export function writeWhole(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode })
  renameSync(`${file}.new`, file)
}
