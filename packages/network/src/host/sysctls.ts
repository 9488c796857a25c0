import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A value that was there before, and the one that we wrote. */
interface Remembered {
  readonly before: string
  readonly ours: string
}

/** Sets values such as `net.ipv4.ip_forward`, and keeps what they were in `file`, before it changes any. Those that are right already stay and are not kept. */
export async function setSysctls(values: Readonly<Record<string, string>>, file: string): Promise<void> {
  const remembered = await readRemembered(file)
  const changes: [string, string][] = []
  for (const [name, ours] of Object.entries(values)) {
    const before = await readSysctl(name)
    if (before === ours) continue
    remembered[name] ??= { before, ours }
    changes.push([name, ours])
  }
  if (changes.length === 0) return
  await mkdir(dirname(file), { recursive: true })
  await writeFile(`${file}.tmp`, JSON.stringify(remembered))
  await rename(`${file}.tmp`, file)
  for (const [name, ours] of changes) await writeSysctl(name, ours)
}

/** Puts back what was there before, except where somebody else has changed it since. */
export async function restoreSysctls(file: string): Promise<void> {
  for (const [name, { before, ours }] of Object.entries(await readRemembered(file))) {
    if ((await readSysctl(name)) === ours) await writeSysctl(name, before)
  }
  await rm(file, { force: true })
}

/** Sets one value, and keeps nothing of what it was: for devices of our own. */
export async function writeSysctl(name: string, value: string): Promise<void> {
  try {
    await writeFile(pathOf(name), value)
  } catch (cause) {
    throw new Error(`Cannot set sysctl "${name}" to ${value}: run as root, with /proc/sys writable`, { cause })
  }
}

async function readRemembered(file: string): Promise<Record<string, Remembered>> {
  const text = await readFile(file, 'utf8').catch(() => '{}')
  try {
    return JSON.parse(text) as Record<string, Remembered>
  } catch {
    return {} // then nothing is put back: a value that is right for us harms nobody
  }
}

async function readSysctl(name: string): Promise<string> {
  return (await readFile(pathOf(name), 'utf8')).trim()
}

function pathOf(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}
