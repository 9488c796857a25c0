import type { DeviceHolder, GpuStatus } from '@centaurus/gpu'
import { readGpuStatus } from '../gpu-daemon-client.ts'
import type { Home } from '../home.ts'
import { formatTable } from '../table.ts'

/** Prints this host's GPUs and who has them. Exits with 1 when something does not work. */
export async function showGpuStatus(home: Home, { json }: { readonly json: boolean }): Promise<void> {
  const status = await readGpuStatus(home)
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : formatGpuStatus(status))
  if (status.problems.length > 0 || status.devices.some(({ problem }) => problem !== undefined)) process.exitCode = 1
}

/** For people. */
export function formatGpuStatus(status: GpuStatus): string {
  const { node, kind, driverVersion, problems, devices } = status
  const what = kind === 'simulated' ? 'simulated: nothing computes on them' : `driver ${driverVersion}`
  const sick = devices.filter(({ problem }) => problem !== undefined)
  return [
    `Node ${node}, ${devices.length} GPUs, ${what}\n`,
    ...problems.map((problem) => `Problem: ${problem}\n`),
    ...sick.map(({ index, problem }) => `GPU ${index}: ${problem}\n`),
    ...(devices.length === 0 ? [] : ['\n', formatDevices(status)]),
    ...(devices.some(({ holders }) => holders.length > 0) ? ['\n', formatHolders(status)] : []),
  ].join('')
}

function formatDevices({ devices }: GpuStatus): string {
  const header = ['GPU', 'MODEL', 'MEMORY', 'USED', 'BUSY', 'NUMA', 'HEALTH', 'RESERVED', 'UUID']
  const rows = devices.map((device) => [
    String(device.index),
    device.model,
    `${device.memoryMiB} MiB`,
    device.memoryUsedMiB === undefined ? '-' : `${device.memoryUsedMiB} MiB`,
    device.gpuPercent === undefined ? '-' : `${device.gpuPercent} %`,
    String(device.numa ?? '-'),
    device.problem === undefined ? 'healthy' : 'unhealthy',
    describeReserved(device.holders),
    device.uuid,
  ])
  return formatTable(header, rows)
}

function describeReserved(holders: readonly DeviceHolder[]): string {
  if (holders.length === 0) return '-'
  if (holders.some(isWhole)) return 'whole'
  const sum = (amounts: readonly (number | undefined)[]): number =>
    amounts.reduce<number>((all, each) => all + (each ?? 0), 0)
  return `${sum(holders.map(({ memoryMiB }) => memoryMiB))} MiB, ${sum(holders.map(({ compute }) => compute))} %`
}

function isWhole({ memoryMiB, compute }: DeviceHolder): boolean {
  return memoryMiB === undefined && compute === undefined
}

function formatHolders({ devices }: GpuStatus): string {
  const header = ['GPU', 'NAMESPACE', 'POD', 'CONTAINER', 'MEMORY', 'TIME', 'PRIORITY', 'USES', 'KIND', 'WOULD FIT']
  const rows = devices.flatMap(({ index, holders }) =>
    holders.map((holder) => [
      String(index),
      holder.namespace,
      holder.pod,
      holder.container,
      ...describeAmounts(holder),
      holder.priority === undefined ? '-' : holder.priority === 0 ? 'high' : 'low',
      describeUse(holder),
      ...describeProfile(holder),
    ]),
  )
  return formatTable(header, rows)
}

function describeAmounts(holder: DeviceHolder): [memory: string, time: string] {
  if (isWhole(holder)) return ['all', 'all']
  const { memoryMiB, compute } = holder
  return [memoryMiB === undefined ? '-' : `${memoryMiB} MiB`, compute === undefined ? '-' : `${compute} %`]
}

function describeUse({ usedMemoryMiB, usedPercent }: DeviceHolder): string {
  return joinAmounts({ memoryMiB: usedMemoryMiB, compute: usedPercent })
}

function describeProfile({ profile }: DeviceHolder): [kind: string, fit: string] {
  if (profile === undefined) return ['-', '-']
  const { kind, periodSeconds } = profile
  return [periodSeconds === undefined ? kind : `${kind}, ${periodSeconds} s`, joinAmounts(profile)]
}

function joinAmounts({ memoryMiB, compute }: Pick<DeviceHolder, 'memoryMiB' | 'compute'>): string {
  const words = [
    ...(memoryMiB === undefined ? [] : [`${memoryMiB} MiB`]),
    ...(compute === undefined ? [] : [`${compute} %`]),
  ]
  return words.length === 0 ? '-' : words.join(', ')
}
