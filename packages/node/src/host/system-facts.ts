import { readdir, readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, hostname, release, totalmem } from 'node:os'

import type { HostFacts, HostPressure, HostUsage } from './node-host.ts'

const ARCHITECTURES: Partial<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }
const KIB = 1024
/** Linux counts processor time for users in hundredths of a second (USER_HZ). */
const NANOS_PER_TICK = 10_000_000

/** Capacity and identity of this machine, from /proc, /sys and the file system that holds `rootDir`. */
export async function readFacts(rootDir: string): Promise<HostFacts> {
  const [disk, hugepages, bootID, machineID, systemUUID, osRelease] = await Promise.all([
    statfs(rootDir),
    readHugepages(),
    readTrimmed('/proc/sys/kernel/random/boot_id'),
    readTrimmed('/etc/machine-id'),
    readTrimmed('/sys/class/dmi/id/product_uuid'),
    readTrimmed('/etc/os-release'),
  ])
  const name = hostname().toLowerCase()
  return {
    cpuMillicores: availableParallelism() * 1000,
    memoryBytes: totalmem(),
    ephemeralStorageBytes: disk.blocks * disk.bsize,
    hugepages,
    hostname: name,
    nodeInfo: {
      architecture: ARCHITECTURES[arch()] ?? arch(),
      bootID,
      kernelVersion: release(),
      machineID,
      operatingSystem: 'linux',
      osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
      systemUUID: systemUUID === '' ? machineID : systemUUID,
    },
  }
}

/** What is left of memory, disk and process ids. */
export async function readPressure(rootDir: string): Promise<HostPressure> {
  const [meminfo, disk, loadavg, pidMax] = await Promise.all([
    readFile('/proc/meminfo', 'utf8').catch(() => ''),
    statfs(rootDir),
    readTrimmed('/proc/loadavg'),
    readTrimmed('/proc/sys/kernel/pid_max'),
  ])
  const tasks = Number(/\/(\d+) /.exec(loadavg)?.[1] ?? '0')
  return {
    memoryAvailableBytes: parseMeminfo(meminfo, 'MemAvailable'),
    diskAvailablePercent: percent(disk.bavail, disk.blocks),
    inodesAvailablePercent: percent(disk.ffree, disk.files),
    pidsAvailable: Number(pidMax) - tasks,
  }
}

/** What all processes use. Memory that the kernel could give back at once does not count. */
export async function readUsage(): Promise<HostUsage> {
  const [meminfo, stat] = await Promise.all([
    readFile('/proc/meminfo', 'utf8').catch(() => ''),
    readFile('/proc/stat', 'utf8').catch(() => ''),
  ])
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '')
    .split(' ')
    .map(Number)
  const available = parseMeminfo(meminfo, 'MemAvailable')
  return {
    cpuUsageNanos: (user + nice + system + irq + softirq) * NANOS_PER_TICK,
    memoryWorkingSetBytes: parseMeminfo(meminfo, 'MemTotal') - available,
    memoryAvailableBytes: available,
  }
}

/** Bytes of one line of /proc/meminfo; 0 when it is not there. */
export function parseMeminfo(text: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)
  return Number(match?.[1] ?? '0') * KIB
}

async function readHugepages(): Promise<Record<string, number>> {
  const root = '/sys/kernel/mm/hugepages'
  const result: Record<string, number> = {}
  for (const entry of await readdir(root).catch(() => [])) {
    const sizeKib = Number(/^hugepages-(\d+)kB$/.exec(entry)?.[1] ?? '0')
    if (sizeKib === 0) continue
    const count = Number(await readTrimmed(`${root}/${entry}/nr_hugepages`))
    const suffix = sizeKib >= KIB * KIB ? `${sizeKib / KIB / KIB}Gi` : `${sizeKib / KIB}Mi`
    result[`hugepages-${suffix}`] = count * sizeKib * KIB
  }
  return result
}

function percent(free: number, total: number): number {
  return total === 0 ? 100 : (100 * free) / total
}

async function readTrimmed(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trim()
}
