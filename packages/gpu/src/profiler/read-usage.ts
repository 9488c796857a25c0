import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { parseUsage, USAGE_HEAD_BYTES, usageBytes, type ProcessUsage, type Usage } from './usage-region.ts'

/** A container may put a pipe, a link or a device in its file's place. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** What the interposer wrote into this file, without processes that died; undefined: nothing yet, or nothing that can be read. Copies what it reads: the container may cut the file. */
export function readUsage(path: string): Usage | undefined {
  const usage = readRegion(path)
  return usage === undefined ? undefined : { ...usage, processes: usage.processes.filter(isAlive) }
}

function readRegion(path: string): Usage | undefined {
  let file: number | undefined
  try {
    if (!lstatSync(path).isFile()) return undefined
    file = openSync(path, OPEN_FLAGS)
    if (!fstatSync(file).isFile()) return undefined
    const head = readBytes(file, USAGE_HEAD_BYTES, 0)
    const bytes = usageBytes(head)
    if (bytes === undefined) return undefined
    return parseUsage(Buffer.concat([head, readBytes(file, bytes - USAGE_HEAD_BYTES, USAGE_HEAD_BYTES)]))
  } catch {
    return undefined // the container is gone, or did away with its file
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function readBytes(file: number, length: number, from: number): Buffer {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readSync(file, buffer, 0, length, from))
}

/** One whose pid on the host nobody knows is believed. */
function isAlive({ hostPid, startTicks }: ProcessUsage): boolean {
  if (hostPid === 0) return true
  try {
    const stat = readFileSync(`/proc/${hostPid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // from the third field on, the state
    return !'ZX'.includes(fields[0] ?? 'X') && BigInt(fields[19] ?? 0) === startTicks
  } catch {
    return false
  }
}
