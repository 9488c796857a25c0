import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../plugin/protocol/messages.ts'
import { formatDemandName, formatLimits, hasLimits, isDemandNameOf, type ContainerShare } from './limits.ts'

/** Where a container finds what is its own. */
const CONTAINER_DIR = '/run/centaurus-gpu'
export const LIMITS_FILE = `${CONTAINER_DIR}/limits`
/** Those that the container writes; any user of it may be the first. */
const OWN_FILES = ['usage', 'demand']
const OWN_FILE_MODE = 0o666

/** Whose folder it is. */
export function containerKey(podUid: string, container: string): string {
  return `${podUid}-${container}`
}

/**
 * The folders on the host by which the plugin and the interposers of containers speak: `containers/KEY/` with `limits` and `own/`, and `devices/UUID/` with what
 * each container on the device wants. All calls are short, and done when they return; they throw what the file system says.
 */
export class ContainerFolders {
  readonly #dir: string

  /** `dir` must be on one file system with all that is in it. */
  constructor(dir: string) {
    this.#dir = dir
    mkdirSync(join(dir, 'containers'), { recursive: true })
    mkdirSync(join(dir, 'devices'), { recursive: true })
  }

  /** Keys of those that have one. */
  list(): string[] {
    return readdirSync(join(this.#dir, 'containers'))
  }

  /** Where the container's interposer writes what it uses. */
  usageFile(key: string): string {
    return join(this.#folderOf(key), 'own', 'usage')
  }

  /** Makes what is missing. Returns what the container must have mounted. */
  prepare(key: string, share: ContainerShare): Mount[] {
    const folder = this.#folderOf(key)
    mkdirSync(join(folder, 'own'), { recursive: true })
    for (const name of OWN_FILES) {
      makeOwnFile(join(folder, 'own', name))
    }
    for (const { uuid } of share.grants) {
      mkdirSync(join(folder, 'devices', uuid), { recursive: true }) // where the mount goes: the folder is read-only in the container
      mkdirSync(this.#deviceDir(uuid), { recursive: true })
    }
    this.setLimits(key, share)
    this.setDemand(key, share)
    const mount = (path: string, hostPath: string, readOnly: boolean): Mount => ({
      containerPath: `${CONTAINER_DIR}${path}`,
      hostPath,
      readOnly,
    })
    return [
      mount('', folder, true),
      mount('/own', join(folder, 'own'), false),
      ...share.grants.map(({ uuid }) => mount(`/devices/${uuid}`, this.#deviceDir(uuid), true)),
    ]
  }

  /** Writes the container's limits anew, in one step, if they say something else. Returns whether they did. */
  setLimits(key: string, share: ContainerShare): boolean {
    const file = join(this.#folderOf(key), 'limits')
    const text = formatLimits(share)
    if (existsSync(file) && readFileSync(file, 'utf8') === text) return false
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)
    return true
  }

  /** Has others on its devices see what the container wants; undefined: it wants nothing any more. */
  setDemand(key: string, share: ContainerShare | undefined): void {
    const grants = share !== undefined && hasLimits(share) ? share.grants : []
    const wanted = new Map(grants.map((grant) => [grant.uuid, formatDemandName(grant, share!, key)]))
    for (const uuid of readdirSync(join(this.#dir, 'devices'))) {
      const dir = this.#deviceDir(uuid)
      const name = wanted.get(uuid)
      const there = readdirSync(dir).filter((each) => isDemandNameOf(key, each))
      if (name !== undefined && !there.includes(name)) {
        const [first] = there
        if (first === undefined) linkSync(join(this.#folderOf(key), 'own', 'demand'), join(dir, name))
        else renameSync(join(dir, first), join(dir, name))
      }
      for (const each of there) if (each !== name) rmSync(join(dir, each), { force: true })
    }
  }

  remove(key: string): void {
    this.setDemand(key, undefined)
    rmSync(this.#folderOf(key), { recursive: true, force: true })
  }

  #folderOf(key: string): string {
    return join(this.#dir, 'containers', key)
  }

  #deviceDir(uuid: string): string {
    return join(this.#dir, 'devices', uuid)
  }
}

/** A container that begins again may have put a link in its file's place: what that names is not ours to change. */
function makeOwnFile(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && !stat.isFile()) rmSync(path, { recursive: true })
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW)
  try {
    fchmodSync(file, OWN_FILE_MODE) // whatever the umask
  } finally {
    closeSync(file)
  }
}
