/**
 * A device plugin as others write them, for tests: serves devices that a file names, registers, and registers again when a new kubelet comes. Two arguments: its
 * settings as {@link DevicePluginSettings} in a file, and the folder of device plugins.
 */
import { appendFileSync, readFileSync, rmSync, statSync, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js'

import { answerUnary } from '../devices/answer-unary.ts'
import { deviceProtocol } from '../devices/protocol/definitions.ts'
import type { DevicePluginCall, DevicePluginSettings } from './device-plugin.ts'

const [settingsFile = '', dir = ''] = process.argv.slice(2)
const kubelet = join(dir, 'kubelet.sock')
const watchers = new Set<ServerWritableStream<unknown, unknown>>()
let server: Server | undefined
let registeredWith: string | undefined

function settings(): DevicePluginSettings {
  return JSON.parse(readFileSync(settingsFile, 'utf8')) as DevicePluginSettings
}

function note(call: DevicePluginCall): void {
  appendFileSync(`${settingsFile}.calls`, `${JSON.stringify(call)}\n`)
}

function listDevices(): object {
  return {
    devices: settings().devices.map(({ id, healthy = true, numaNodes = [] }) => ({
      ID: id,
      health: healthy ? 'Healthy' : 'Unhealthy',
      topology: numaNodes.length === 0 ? null : { nodes: numaNodes.map((ID) => ({ ID })) },
    })),
  }
}

function allocate(ids: readonly string[]): object {
  const { allocateError, devices, resource, mount } = settings()
  if (allocateError !== undefined) throw new Error(allocateError)
  const chosen = devices.filter(({ id }) => ids.some((asked) => asked === id || asked.startsWith(`${id}::`)))
  return {
    envs: { THING_IDS: ids.toSorted().join(','), THING_RESOURCE: resource },
    devices: chosen.flatMap(({ id, hostPath }) =>
      hostPath === undefined ? [] : [{ containerPath: `/dev/thing-${id}`, hostPath, permissions: 'rw' }],
    ),
    mounts: mount === undefined ? [] : [{ containerPath: '/things', hostPath: mount, readOnly: true }],
    annotations: { 'example.com/things': String(ids.length) },
  }
}

function options(): object {
  const { isPreStartRequired = false, prefersLast = false } = settings()
  return { preStartRequired: isPreStartRequired, getPreferredAllocationAvailable: prefersLast }
}

interface DeviceIds {
  readonly devicesIds: readonly string[]
}

interface Preference {
  readonly availableDeviceIDs: readonly string[]
  readonly mustIncludeDeviceIDs: readonly string[]
  readonly allocationSize: number
}

const handlers = {
  GetDevicePluginOptions: answerUnary(options),
  ListAndWatch: (call: ServerWritableStream<unknown, unknown>) => {
    watchers.add(call)
    call.on('cancelled', () => watchers.delete(call))
    call.write(listDevices())
  },
  GetPreferredAllocation: answerUnary(({ containerRequests }: { containerRequests: readonly Preference[] }) => ({
    containerResponses: containerRequests.map(({ availableDeviceIDs, mustIncludeDeviceIDs, allocationSize }) => {
      note({ method: 'GetPreferredAllocation', ids: availableDeviceIDs.toSorted() })
      const others = availableDeviceIDs.filter((id) => !mustIncludeDeviceIDs.includes(id)).toSorted()
      const count = allocationSize - mustIncludeDeviceIDs.length
      return { deviceIDs: [...mustIncludeDeviceIDs, ...others.toReversed().slice(0, count)] }
    }),
  })),
  Allocate: (
    call: ServerUnaryCall<{ containerRequests: readonly DeviceIds[] }, unknown>,
    done: (error: { code: number; details: string } | null, value?: unknown) => void,
  ) => {
    const [podUid, container] = ['centaurus-pod-uid', 'centaurus-container'].map((key) =>
      String(call.metadata.get(key)[0]),
    )
    const { containerRequests } = call.request
    for (const { devicesIds } of containerRequests) note({ method: 'Allocate', ids: devicesIds, podUid, container })
    if (settings().hangs === true) return
    answerUnary((request: typeof call.request) => ({
      containerResponses: request.containerRequests.map(({ devicesIds }) => allocate(devicesIds)),
    }))(call, done as Parameters<ReturnType<typeof answerUnary>>[1])
  },
  PreStartContainer: answerUnary(({ devicesIds }: DeviceIds) => {
    note({ method: 'PreStartContainer', ids: devicesIds })
    return {}
  }),
}

async function serve(): Promise<void> {
  const socket = join(dir, settings().socket)
  server?.forceShutdown()
  watchers.clear()
  rmSync(socket, { force: true })
  const fresh = new Server()
  server = fresh
  fresh.addService(deviceProtocol().devicePlugin, handlers)
  await new Promise<void>((resolve, reject) =>
    fresh.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  )
}

function register(): Promise<void> {
  const { requestSerialize, responseDeserialize, path } = deviceProtocol().registration['Register']!
  const { version = 'v1beta1', socket, resource } = settings()
  const client = new Client(`unix:${kubelet}`, credentials.createInsecure())
  const request = { version, endpoint: socket, resourceName: resource, options: options() }
  return new Promise<void>((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) => {
      client.close()
      if (error === null) resolve()
      else reject(error)
    })
  })
}

/** Serves and registers with a kubelet that it did not register with before, as plugins do that watch for its socket. */
async function follow(): Promise<void> {
  const found = statSync(kubelet, { throwIfNoEntry: false })
  const identity = found === undefined ? undefined : `${found.ino}/${found.ctimeMs}`
  if (identity === undefined || identity === registeredWith) return
  registeredWith = identity
  await serve()
  await register().then(
    () => note({ method: 'registered', ids: [] }),
    (error: unknown) => note({ method: 'refused', ids: [], why: (error as Error).message }),
  )
}

let turn: Promise<void> = Promise.resolve()
watch(dir, (_, name) => {
  if (name === 'kubelet.sock') turn = turn.then(follow)
})
watch(dirname(settingsFile), (_, name) => {
  if (name === basename(settingsFile)) for (const call of watchers) call.write(listDevices())
})
turn = turn.then(follow)
