import { existsSync } from 'node:fs'
import { systemClock, type Logger } from '@centaurus/base'
import { containerdPaths, createCriRuntime, startContainerd, type Containerd } from '@centaurus/node'
import type { Home } from './home.ts'
import { PAUSE_IMAGE } from './node-images.ts'

/** Addresses of this node's pods, until nodes get theirs from the control plane. */
export const POD_CIDR = '10.244.0.0/24'
export const POD_BRIDGE = 'centaurus0'

/** Starts this cluster's containerd, or adopts the one that runs. */
export async function openContainerd(home: Home, logger: Logger): Promise<Containerd> {
  return startContainerd({
    dir: home.containerdDir,
    clock: systemClock,
    logger,
    sandboxImage: PAUSE_IMAGE,
    podCIDR: POD_CIDR,
    bridge: POD_BRIDGE,
  })
}

/** Stops every pod sandbox with its containers, then containerd. False when there was nothing to stop. */
export async function stopContainers(home: Home, logger: Logger): Promise<boolean> {
  if (!existsSync(containerdPaths(home.containerdDir).pid)) return false
  const containerd = await openContainerd(home, logger)
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  try {
    const sandboxes = await runtime.listSandboxes()
    await Promise.all(sandboxes.map((sandbox) => runtime.stopSandbox(sandbox.id)))
  } finally {
    await runtime.close()
  }
  await containerd.stop()
  return true
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
