import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, type Logger } from '@centaurus/base'
import {
  containerdPaths,
  createCriRuntime,
  startContainerd,
  stopAllPods,
  systemMounter,
  type Containerd,
  type PodNetworkSetup,
} from '@centaurus/node'
import { formatNetworkList, installIdlePlugins, installPlugins } from '@centaurus/network'
import type { Home } from './home.ts'
import { findDaemon } from './daemons.ts'
import { POD_BRIDGE } from './host-network.ts'
import { cniSocket } from './network-daemon-client.ts'
import { PAUSE_IMAGE } from './node-images.ts'
import { channelSocket, sandboxHandlers } from './sandbox-runtime.ts'
import { DEFAULT_SETTINGS, hasOwnNetwork, readSettings } from './settings.ts'

/** Addresses of this node's pods on the bridge. */
export const POD_CIDR = '10.244.0.0/24'

/** Starts this cluster's containerd, or adopts the one that runs. `isStopping`: pods are only taken away, if need be without the network's daemon. */
export async function openContainerd(
  home: Home,
  logger: Logger,
  { isStopping = false }: { readonly isStopping?: boolean } = {},
): Promise<Containerd> {
  return startContainerd({
    dir: home.containerdDir,
    clock: systemClock,
    logger,
    sandboxImage: PAUSE_IMAGE,
    runtimes: sandboxHandlers(home),
    environment: { QUARK_CHANNEL: channelSocket(home) },
    network: await preparePodNetwork(home, { hasDaemon: !isStopping || findDaemon(home, 'network') !== undefined }),
  })
}

/** What the runtime asks for pods' networks. Our plugins are there before it is. */
async function preparePodNetwork(home: Home, { hasDaemon }: { readonly hasDaemon: boolean }): Promise<PodNetworkSetup> {
  if (!hasOwnNetwork(readSettings(home) ?? DEFAULT_SETTINGS)) return { podCIDR: POD_CIDR, bridge: POD_BRIDGE }
  const cniBinDir = join(home.networkDir, 'plugins')
  if (hasDaemon) await installPlugins(cniBinDir, { socket: cniSocket(home), stateDir: home.networkDir })
  else await installIdlePlugins(cniBinDir)
  return { networkList: formatNetworkList(), cniBinDir }
}

/** Stops every pod with its grace and its preStop hooks, the least important first, then containerd. False when there was nothing to stop. */
export async function stopContainers(
  home: Home,
  { logger, graceSecondsMax }: { readonly logger: Logger; readonly graceSecondsMax: number },
): Promise<boolean> {
  if (!existsSync(containerdPaths(home.containerdDir).pid)) return false
  const containerd = await openContainerd(home, logger, { isStopping: true })
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  try {
    await stopAllPods({ runtime, clock: systemClock, logger }, { graceSecondsMax })
  } finally {
    await runtime.close()
  }
  await containerd.stop()
  return true
}

/** Removes what {@link stopContainers} leaves for the next `up`: the sandboxes and containers themselves. */
export async function removeContainers(home: Home, logger: Logger): Promise<void> {
  if (!existsSync(containerdPaths(home.containerdDir).config)) return
  const containerd = await openContainerd(home, logger, { isStopping: true })
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  try {
    for (const sandbox of await runtime.listSandboxes()) {
      await runtime.stopSandbox(sandbox.id)
      await runtime.removeSandbox(sandbox.id)
    }
  } finally {
    await runtime.close()
  }
  await containerd.stop()
}

/** Unmounts the pods' volumes, file systems and network namespaces that are still mounted in the home, so that it can be deleted. */
export async function removeMounts(home: Home): Promise<void> {
  for (const mount of await systemMounter.listBelow(home.dir)) {
    if (mount !== home.dir) await systemMounter.unmount(mount)
  }
}
