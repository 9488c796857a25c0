import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findOtherOwner, removeClusterDns, removeDataplane, removeHostNetwork } from '@centaurus/network'
import { removeServiceProxy, systemMounter } from '@centaurus/node'
import { CLUSTER_DNS } from './cluster-network.ts'
import { isSupervised } from './daemons.ts'
import type { Home } from './home.ts'
import { hasOwnNetwork, type Settings } from './settings.ts'
import { UserError } from './user-error.ts'

/** Device of the bridge network. Our own has one of that name as well: a host has either. */
export const POD_BRIDGE = 'centaurus0'
/** Source: the kubelet's own default. */
export const KUBELET_PORT = 10_250

const run = promisify(execFile)

/** Where programs and tables of this home's pods are pinned. */
export function pinFolder(home: Home): string {
  return join(home.networkDir, 'bpf')
}

/** Cache of compiled programs: beside Node's own, in the checkout that they are compiled from, where that can be written. */
export function programsFolder(home: Home): string {
  try {
    mkdirSync(PROGRAMS, { recursive: true })
    accessSync(PROGRAMS, constants.W_OK)
    return PROGRAMS
  } catch {
    return join(home.networkDir, 'programs')
  }
}

const PROGRAMS = join(import.meta.dirname, '../../../build/programs')

/**
 * Sees to it that this machine's pods can be this cluster's: refuses where another cluster has them, and takes away what the other kind of network left. Throws
 * {@link UserError}.
 */
export async function claimHostNetwork(home: Home, settings: Pick<Settings, 'nodes' | 'network'>): Promise<void> {
  if (isSupervised(home, 'node')) return
  const other = await findOtherOwner(home.networkDir)
  if (other !== undefined) {
    throw new UserError(
      `Cannot run pods here: this machine is a node of the cluster in ${dirname(other)}. Stop that one first: ` +
        `CENTAURUS_HOME=${dirname(other)} ./centaurus down. Or run this one without containers: ./centaurus up --nodes simulated:5`,
    )
  }
  await requireKubeletPort()
  if ((await kindOfDevice()) !== kindWanted(settings)) await removeNetwork(home)
}

/** Takes this node's traces off the host's network, those of either kind. Does nothing where another cluster has it. */
export async function removeNetwork(home: Home): Promise<void> {
  if ((await findOtherOwner(home.networkDir).catch(() => undefined)) !== undefined) return // without ip there is nothing
  await removeServiceProxy().catch(() => {}) // without nft there is no table
  await removeClusterDns(CLUSTER_DNS)
  const pins = pinFolder(home)
  if (existsSync(pins)) removeDataplane(pins)
  for (const mount of await systemMounter.listBelow(pins)) await systemMounter.unmount(mount)
  await removeHostNetwork({ stateDir: home.networkDir }).catch(() => {}) // without ip or nft there is nothing
  await run('ip', ['link', 'delete', POD_BRIDGE]).catch(() => {}) // it was never made
}

/** Says who is in the way before anything is started. Throws {@link UserError}. */
async function requireKubeletPort(): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(KUBELET_PORT, resolve))
  } catch (cause) {
    explainPort(cause)
  } finally {
    server.close()
  }
}

/** Throws {@link UserError} when the kubelet's port is in use. */
export function explainPort(cause: unknown): never {
  if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
  throw new UserError(
    `Cannot listen on port ${KUBELET_PORT}: it is in use, perhaps by another kubelet or another cluster of this machine. ` +
      'Stop that program, then run ./centaurus up again',
    { cause },
  )
}

async function kindOfDevice(): Promise<string | undefined> {
  const { stdout } = await run('ip', ['-json', '-details', 'link', 'show', 'dev', POD_BRIDGE]).catch(() => ({
    stdout: '[]', // there is none
  }))
  const [link] = JSON.parse(stdout) as { linkinfo?: { info_kind?: string } }[]
  return link?.linkinfo?.info_kind
}

function kindWanted(settings: Pick<Settings, 'nodes' | 'network'>): string {
  return hasOwnNetwork(settings) ? 'veth' : 'bridge'
}
