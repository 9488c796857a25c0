import { existsSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { GpuStatus } from '@centaurus/gpu'
import { findDaemon } from './daemons.ts'
import type { Home } from './home.ts'
import { hasGpus } from './host-gpus.ts'
import { readSettings } from './settings.ts'
import { UserError } from './user-error.ts'

/** Where the GPU plugin of a home answers. */
export function gpuSocket(home: Home): string {
  return join(home.runDir, 'gpu.sock')
}

/** What the GPU plugin of this host says. Throws {@link UserError} with what to do when it is not there. */
export async function readGpuStatus(home: Home): Promise<GpuStatus> {
  const response = await askPlugin(home)
  if (response === undefined) throw new UserError(whyNoPlugin(home))
  const body = await text(response)
  if (response.statusCode !== 200) throw new UserError(`The GPU plugin says: ${body.trim()}`)
  return JSON.parse(body) as GpuStatus
}

function whyNoPlugin(home: Home): string {
  if (findDaemon(home, 'gpu') !== undefined)
    return 'The GPU plugin does not answer: it waits for the driver, or has just begun. See ./centaurus logs gpu'
  const settings = readSettings(home)
  if (settings === undefined) return `There is no cluster in ${home.dir}. Start one with ./centaurus up`
  if (settings.nodes.type === 'simulated' && settings.simulatedGpus !== undefined)
    return 'GPUs of simulated nodes are in the API alone: ./centaurus kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/gpu.count'
  if (hasGpus(settings))
    return 'The GPU plugin does not run, or belongs to another user. Start it with ./centaurus up, and see ./centaurus logs gpu'
  return "This machine has no GPUs: NVIDIA's driver is not loaded. Simulate some with ./centaurus down && ./centaurus up --simulated-gpus FILE"
}

/** Undefined when it is not there. */
async function askPlugin(home: Home): Promise<IncomingMessage | undefined> {
  const socketPath = gpuSocket(home)
  if (!existsSync(socketPath)) return undefined
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/status' }, resolve)
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'EACCES' || error.code === 'ENOENT') resolve(undefined)
      else reject(error)
    })
    asked.end()
  })
}
