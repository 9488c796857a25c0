/** What NVML says of devices, read out of its structures. Source of all layouts and numbers: nvml.h 12. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GPU_LINKS } from '@centaurus/api/gpu'
import type { GpuProcess, GpuUse, HostGpu, HostGpus } from '../device-source.ts'
import { NVML_SUCCESS, type NvmlFunction, type NvmlLibrary } from './nvml-library.ts'

/** A device as the library knows it: an address that is good until the library is shut down. */
export type NvmlHandle = bigint

/** Where the kernel shows devices; others in tests. */
export interface HostFolders {
  readonly sys: string
  readonly dev: string
}

const TEXT_BYTES = 96
const MIB = 2 ** 20
/** `nvmlPciInfo_t`: its size, and where the text of the bus id begins. */
const PCI_BYTES = 68
const PCI_BUS_ID_AT = 36
/** NVML_NVLINK_MAX_LINKS. */
const NVLINKS_MAX = 18
/** `nvmlIntNvLinkDeviceType_t`. */
const REMOTE_IS_SWITCH = 2
/** `nvmlProcessInfo_t` of `_v3`. */
const PROCESS_BYTES = 24
const PROCESSES_MAX = 1_024
/** NVML_VALUE_NOT_AVAILABLE. */
const NOT_AVAILABLE = 0xffff_ffff_ffff_ffffn
const MIG_ENABLED = 1
/** Those that every program with a GPU opens. */
const COMMON_FILES = ['nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools', 'nvidia-modeset']

/** All devices, with the handles by which health is asked. Rejects with `NvmlError`. */
export async function readDevices(
  nvml: NvmlLibrary,
  folders: HostFolders,
): Promise<{ readonly gpus: HostGpus; readonly handles: readonly NvmlHandle[] }> {
  const handles: NvmlHandle[] = []
  const devices: HostGpu[] = []
  const buses: string[] = []
  const count = await readNumber(nvml, 'nvmlDeviceGetCount_v2')
  for (let index = 0; index < (count ?? 0); index++) {
    const address = new BigUint64Array(1)
    await nvml.must('nvmlDeviceGetHandleByIndex_v2', index, bytesOf(address))
    const handle = address[0]!
    const bus = await readBus(nvml, 'nvmlDeviceGetPciInfo_v3', handle)
    handles.push(handle)
    buses.push(bus)
    devices.push(await readDevice(nvml, { handle, index, bus, folders }))
  }
  const links = devices.length < 2 ? undefined : await readLinks(nvml, handles, buses)
  const common = COMMON_FILES.map((name) => join(folders.dev, name)).filter((file) => existsSync(file))
  const driverVersion = await readText(nvml, 'nvmlSystemGetDriverVersion')
  return { gpus: { devices, links, driverVersion, commonFiles: common }, handles }
}

/** Why the driver does not serve a device any more; undefined: it does. */
export async function readLoss(nvml: NvmlLibrary, handle: NvmlHandle): Promise<string | undefined> {
  const code = await nvml.call('nvmlDeviceGetUUID', handle, new Uint8Array(TEXT_BYTES), TEXT_BYTES)
  return code === NVML_SUCCESS ? undefined : `The driver lost it: ${nvml.describe(code)}`
}

/** What uses a device now. */
export async function readDeviceUse(nvml: NvmlLibrary, uuid: string, handle: NvmlHandle): Promise<GpuUse> {
  const memory = new BigUint64Array(3) // total, free, used
  const rates = new Uint32Array(2) // gpu, memory
  const hasMemory = (await nvml.call('nvmlDeviceGetMemoryInfo', handle, bytesOf(memory))) === NVML_SUCCESS
  const hasRates = (await nvml.call('nvmlDeviceGetUtilizationRates', handle, bytesOf(rates))) === NVML_SUCCESS
  return {
    uuid,
    gpuPercent: hasRates ? rates[0] : undefined,
    memoryPercent: hasRates ? rates[1] : undefined,
    memoryUsedMiB: hasMemory ? Math.ceil(Number(memory[2]) / MIB) : undefined,
    processes: await readProcesses(nvml, handle),
  }
}

interface DeviceToRead {
  readonly handle: NvmlHandle
  readonly index: number
  readonly bus: string
  readonly folders: HostFolders
}

async function readDevice(nvml: NvmlLibrary, { handle, index, bus, folders }: DeviceToRead): Promise<HostGpu> {
  const memory = new BigUint64Array(3)
  await nvml.must('nvmlDeviceGetMemoryInfo', handle, bytesOf(memory))
  const minor = (await readNumber(nvml, 'nvmlDeviceGetMinorNumber', handle)) ?? index
  const multiprocessors = await readMultiprocessors(nvml, handle)
  const numa = readNuma(folders, bus)
  return {
    uuid: await readText(nvml, 'nvmlDeviceGetUUID', handle),
    index,
    model: await readText(nvml, 'nvmlDeviceGetName', handle),
    memoryMiB: Math.floor(Number(memory[0]) / MIB),
    ...(multiprocessors === undefined ? {} : { multiprocessors }),
    ...(numa === undefined ? {} : { numa }),
    problem: await readMigProblem(nvml, handle, index),
    files: [join(folders.dev, `nvidia${minor}`)].filter((file) => existsSync(file)),
  }
}

/** A GPU in MIG mode runs nothing but its instances, which are not served. */
async function readMigProblem(nvml: NvmlLibrary, handle: NvmlHandle, index: number): Promise<string | undefined> {
  const current = new Uint32Array(1)
  const code = await nvml.call('nvmlDeviceGetMigMode', handle, bytesOf(current), new Uint8Array(4))
  if (code !== NVML_SUCCESS || current[0] !== MIG_ENABLED) return undefined
  return `It is in MIG mode, and its instances are not served: turn that off by nvidia-smi -i ${index} -mig 0`
}

/** NVML counts cores; how many a multiprocessor has follows from the architecture. Source: CUDA C++ Programming Guide 12, "Compute Capabilities". */
async function readMultiprocessors(nvml: NvmlLibrary, handle: NvmlHandle): Promise<number | undefined> {
  const cores = await readNumber(nvml, 'nvmlDeviceGetNumGpuCores', handle)
  const major = new Uint32Array(1)
  const minor = new Uint32Array(1)
  const code = await nvml.call('nvmlDeviceGetCudaComputeCapability', handle, bytesOf(major), bytesOf(minor))
  if (cores === undefined || code !== NVML_SUCCESS) return undefined
  return Math.round(cores / coresOfMultiprocessor(major[0]!, minor[0]!))
}

function coresOfMultiprocessor(major: number, minor: number): number {
  if (major === 3) return 192
  if (major === 7) return 64
  return (major === 6 || major === 8) && minor === 0 ? 64 : 128
}

/** NVML writes the PCI domain with eight digits, the kernel with four. */
function readNuma({ sys }: HostFolders, bus: string): number | undefined {
  const [, address = ''] = /([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$/i.exec(bus) ?? []
  const file = join(sys, 'bus/pci/devices', address.toLowerCase(), 'numa_node')
  if (address === '' || !existsSync(file)) return undefined
  const node = Number(readFileSync(file, 'utf8').trim())
  return Number.isInteger(node) && node >= 0 ? node : undefined // -1: the host has but one
}

/** Undefined when the driver does not know how its devices are connected. */
async function readLinks(
  nvml: NvmlLibrary,
  handles: readonly NvmlHandle[],
  buses: readonly string[],
): Promise<number[][] | undefined> {
  const wires = await Promise.all(handles.map((handle) => readNvlinks(nvml, handle)))
  const links = handles.map(() => handles.map(() => 0))
  for (const [i, one] of handles.entries()) {
    for (const [j, other] of handles.entries()) {
      if (j <= i) continue
      const level = await readNumber(nvml, 'nvmlDeviceGetTopologyCommonAncestor', one, other)
      if (level === undefined) return undefined
      const direct = wires[i]!.filter(({ bus }) => bus === buses[j]).length
      const bySwitch = Math.min(...[wires[i]!, wires[j]!].map((each) => each.filter(({ isSwitch }) => isSwitch).length))
      links[i]![j] = links[j]![i] = linkOf(level, direct + bySwitch)
    }
  }
  return links
}

/** `nvmlGpuTopologyLevel_t` goes from 0 (one board) to 50 (another NUMA node). */
function linkOf(level: number, nvlinks: number): number {
  return nvlinks > 0 ? GPU_LINKS.nvlink + nvlinks : Math.max(GPU_LINKS.otherNuma, GPU_LINKS.nvlink - level)
}

interface Nvlink {
  readonly bus: string
  readonly isSwitch: boolean
}

/** Those that are up. */
async function readNvlinks(nvml: NvmlLibrary, handle: NvmlHandle): Promise<Nvlink[]> {
  const found: Nvlink[] = []
  for (let link = 0; link < NVLINKS_MAX; link++) {
    const isActive = await readNumber(nvml, 'nvmlDeviceGetNvLinkState', handle, link)
    if (isActive !== 1) continue
    const type = await readNumber(nvml, 'nvmlDeviceGetNvLinkRemoteDeviceType', handle, link)
    const bus = await readBus(nvml, 'nvmlDeviceGetNvLinkRemotePciInfo_v2', handle, link)
    found.push({ bus, isSwitch: type === REMOTE_IS_SWITCH })
  }
  return found
}

/** Empty when the library does not say. */
async function readBus(nvml: NvmlLibrary, name: NvmlFunction, ...of: readonly (number | bigint)[]): Promise<string> {
  const pci = new Uint8Array(PCI_BYTES)
  return (await nvml.call(name, ...of, pci)) === NVML_SUCCESS ? textOf(pci.subarray(PCI_BUS_ID_AT)) : ''
}

async function readProcesses(nvml: NvmlLibrary, handle: NvmlHandle): Promise<GpuProcess[]> {
  const count = Uint32Array.of(PROCESSES_MAX)
  const list = new DataView(new ArrayBuffer(PROCESSES_MAX * PROCESS_BYTES))
  const code = await nvml.call(
    'nvmlDeviceGetComputeRunningProcesses_v3',
    handle,
    bytesOf(count),
    new Uint8Array(list.buffer),
  )
  if (code !== NVML_SUCCESS) return []
  return Array.from({ length: count[0]! }, (_, i) => {
    const memory = list.getBigUint64(i * PROCESS_BYTES + 8, true)
    return {
      pid: list.getUint32(i * PROCESS_BYTES, true),
      memoryBytes: memory === NOT_AVAILABLE ? undefined : Number(memory),
    }
  })
}

/** An `unsigned int` that a function gives; undefined: this device or driver has no such thing. */
async function readNumber(
  nvml: NvmlLibrary,
  name: NvmlFunction,
  ...of: readonly (number | bigint)[]
): Promise<number | undefined> {
  const value = new Uint32Array(1)
  return (await nvml.call(name, ...of, bytesOf(value))) === NVML_SUCCESS ? value[0] : undefined
}

async function readText(nvml: NvmlLibrary, name: NvmlFunction, ...of: readonly bigint[]): Promise<string> {
  const text = new Uint8Array(TEXT_BYTES)
  await nvml.must(name, ...of, text, TEXT_BYTES)
  return textOf(text)
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}

function bytesOf(array: BigUint64Array | Uint32Array): Uint8Array {
  return new Uint8Array(array.buffer)
}
