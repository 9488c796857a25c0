import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { systemClock, type Logger } from '@centaurus/base'
import {
  containerdPaths,
  createCriRuntime,
  removeServiceProxy,
  startContainerd,
  stopAllPods,
  systemMounter,
  type Containerd,
} from '@centaurus/node'
import { removeClusterDns } from '@centaurus/network'
import type { Home } from './home.ts'
import { PAUSE_IMAGE } from './node-images.ts'

/** Addresses of this node's pods, until nodes get theirs from the control plane. */
export const POD_CIDR = '10.244.0.0/24'
/** Where pods ask for names. Source: kubeadm's tenth address of the service range. */
export const CLUSTER_DNS = '10.96.0.10'
export const POD_BRIDGE = 'centaurus0'

/** Starts this cluster's containerd, or adopts the one that runs. */
export async function openContainerd(home: Home, logger: Logger): Promise<Containerd> {
  return startContainerd({
    dir: home.containerdDir,
    clock: systemClock,
    logger,
    sandboxImage: PAUSE_IMAGE,
    network: { podCIDR: POD_CIDR, bridge: POD_BRIDGE },
  })
}

/** Stops every pod with its grace and its preStop hooks, the least important first, then containerd. False when there was nothing to stop. */
export async function stopContainers(
  home: Home,
  { logger, graceSecondsMax }: { readonly logger: Logger; readonly graceSecondsMax: number },
): Promise<boolean> {
  if (!existsSync(containerdPaths(home.containerdDir).pid)) return false
  const containerd = await openContainerd(home, logger)
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  try {
    await stopAllPods({ runtime, clock: systemClock, logger }, { graceSecondsMax })
  } finally {
    await runtime.close()
  }
  await containerd.stop()
  return true
}

/** Takes this node's traces off the host's network: the services' table, the resolver's address and the pods' bridge. */
export async function removeNetwork(): Promise<void> {
  await removeServiceProxy().catch(() => {}) // without nft there is no table
  await removeClusterDns(CLUSTER_DNS)
  await promisify(execFile)('ip', ['link', 'delete', POD_BRIDGE]).catch(() => {}) // it was never made
}

/** Removes what {@link stopContainers} leaves for the next `up`: the sandboxes and containers themselves. */
export async function removeContainers(home: Home, logger: Logger): Promise<void> {
  if (!existsSync(containerdPaths(home.containerdDir).config)) return
  const containerd = await openContainerd(home, logger)
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
