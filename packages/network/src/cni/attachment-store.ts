import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseIpv4 } from '@centaurus/base'
import { deviceNameOf, POD_DEVICE_PATTERN, type Attachment } from './attachment.ts'

/** Name of a pod's device, as every runtime gives it. */
const POD_IFNAME = 'eth0'
/** Grows when the meaning of what a file has changes. */
const FILE_VERSION = 1

/** Addresses of a pod that is gone, for as long as nobody may have them. */
export interface ReleasedAddresses {
  readonly phase: 'released'
  readonly device: string
  readonly vni: number
  readonly routeDomain: number
  readonly ip: string
  readonly hostIP: string
  readonly releasedAtMs: number
}

export type AttachmentRecord = Attachment | ReleasedAddresses

/** A file that can't be read. Its name says the device. */
export interface DamagedRecord {
  readonly device: string
  readonly file: string
  readonly problem: string
}

export interface LoadedRecords {
  readonly records: readonly AttachmentRecord[]
  readonly damaged: readonly DamagedRecord[]
}

/**
 * One small file a pod, named for its device, in a folder of the daemon's own. A file is replaced as a whole, so that a process that is killed leaves either what was
 * or what is. It is not forced to disk: what ends the kernel ends the pods, and what their files said.
 */
export class AttachmentStore {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  async load(): Promise<LoadedRecords> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const records: AttachmentRecord[] = []
    const damaged: DamagedRecord[] = []
    for (const name of await readdir(this.#dir)) {
      const file = join(this.#dir, name)
      const device = name.replace(/\.json$/, '')
      if (!name.endsWith('.json') || !POD_DEVICE_PATTERN.test(device)) {
        if (name.endsWith('.tmp')) await rm(file, { force: true }) // of a write that was never done
        continue
      }
      const record = parseRecord(await readFile(file, 'utf8'), device)
      if (typeof record === 'string') damaged.push({ device, file, problem: record })
      else records.push(record)
    }
    return { records, damaged }
  }

  /** What a failure leaves is what was before. */
  async put(record: AttachmentRecord): Promise<void> {
    const file = this.#fileOf(record.device)
    try {
      await writeFile(`${file}.tmp`, `${JSON.stringify({ version: FILE_VERSION, ...record })}\n`, { mode: 0o600 })
      await rename(`${file}.tmp`, file)
    } catch (cause) {
      await rm(`${file}.tmp`, { force: true }).catch(() => {}) // the next start does it
      const isFull = ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')
      const advice = isFull ? ': its disk is full; make room there' : ''
      throw new Error(`Cannot write down a pod's network in "${this.#dir}"${advice}`, { cause })
    }
  }

  async remove(device: string): Promise<void> {
    await rm(this.#fileOf(device), { force: true })
  }

  #fileOf(device: string): string {
    return join(this.#dir, `${device}.json`)
  }
}

/** The address by which the host reaches a sandbox that is attached; undefined: it is not. For programs beside the daemon. */
export function readHostAddress(stateDir: string, sandboxId: string): string | undefined {
  const device = deviceNameOf(sandboxId, POD_IFNAME)
  try {
    const record = parseRecord(readFileSync(join(attachmentsDir(stateDir), `${device}.json`), 'utf8'), device)
    return typeof record === 'string' || record.phase === 'released' ? undefined : record.hostIP
  } catch {
    return undefined // there is no such file
  }
}

/** Where a daemon with this state folder keeps them. */
export function attachmentsDir(stateDir: string): string {
  return join(stateDir, 'attachments')
}

/** Reads a file. Returns what is wrong when it can't be believed. Pure. */
export function parseRecord(text: string, device: string): AttachmentRecord | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return text === '' ? 'it is empty' : 'it is no JSON'
  }
  if (typeof value !== 'object' || value === null) return 'it holds no object'
  const { version, ...record } = value as Record<string, unknown>
  if (version !== FILE_VERSION) return `it has version ${JSON.stringify(version)}; this program knows ${FILE_VERSION}`
  if (record['device'] !== device) return `it is of device ${JSON.stringify(record['device'])}`
  const wrong = Object.entries(FIELDS[record['phase'] === 'released' ? 'released' : 'attached']).find(
    ([field, isRight]) => !isRight(record[field]),
  )
  if (wrong !== undefined) return `its "${wrong[0]}" is ${JSON.stringify(record[wrong[0]]) ?? 'missing'}`
  return record as unknown as AttachmentRecord // every field was looked at
}

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string'
const isOptionalText: Check = (value) => value === undefined || typeof value === 'string'
const isCount: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isAddress: Check = (value) => typeof value === 'string' && parseIpv4(value) !== undefined
const isHostPorts: Check = (value) =>
  Array.isArray(value) &&
  value.every(
    (port: Record<string, unknown> | null) =>
      typeof port === 'object' &&
      port !== null &&
      ['tcp', 'udp', 'sctp'].includes(String(port['protocol'])) &&
      isCount(port['hostPort']) &&
      isCount(port['containerPort']) &&
      (port['hostIP'] === undefined || isAddress(port['hostIP'])),
  )

const ADDRESS_FIELDS = { vni: isCount, routeDomain: isCount, ip: isAddress, hostIP: isAddress }

const FIELDS: Readonly<Record<'released' | 'attached', Readonly<Record<string, Check>>>> = {
  released: { ...ADDRESS_FIELDS, releasedAtMs: isCount },
  attached: {
    phase: (value) => value === 'adding' || value === 'ready',
    ...ADDRESS_FIELDS,
    containerId: isText,
    namespace: isText,
    name: isText,
    uid: isOptionalText,
    vpc: isText,
    blockPrefix: isCount,
    mac: isText,
    ifindex: isCount,
    netns: isOptionalText,
    ifname: isText,
    mtu: isCount,
    hostPorts: isHostPorts,
    createdAtMs: isCount,
  },
}
