import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { LOCAL_PROVISIONER, PROVISIONED_BY, TENANT_ANNOTATION } from '@centaurus/api'
import type { PersistentVolume } from '@centaurus/api/core/v1'

import type { Mounter } from './mounts.ts'

/** Nobody but the agent needs to walk through it: containers get the folders below by mounts. */
const PARENT_MODE = 0o700
/** Whatever user a container runs as may write to its volume, as with emptyDir. */
const FOLDER_MODE = 0o777

/** The persistent volumes that are folders of this node. */
export interface LocalVolumes {
  /** Absolute path of the folder that holds them, each under the name of its PersistentVolume. */
  readonly dir: string
  /** Whether the volume is one of them: made by our provisioner, and where it belongs. */
  owns(volume: PersistentVolume): boolean
  /** Path of the volume's folder, which is made when it is missing. */
  ensure(volume: PersistentVolume): Promise<string>
  /** Deletes the folder with all data; nothing to do when it is gone. Throws rather than touch anything else. */
  remove(volume: PersistentVolume): Promise<void>
}

export function createLocalVolumes({
  dir,
  mounter,
}: {
  readonly dir: string
  readonly mounter: Pick<Mounter, 'listBelow'>
}): LocalVolumes {
  const owns = ({ metadata, spec }: PersistentVolume): boolean => {
    const name = bareName(metadata)
    const isName = /^[a-z0-9][a-z0-9.-]*$/.test(name) // no separators, no `..`
    const isOurs = metadata.annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER
    return isName && isOurs && spec?.local?.path === join(dir, name)
  }
  const pathOf = (volume: PersistentVolume): string => {
    const path = volume.spec?.local?.path ?? ''
    if (owns(volume)) return path
    throw new Error(`Cannot use "${path}" of volume "${volume.metadata.name}": it is not a folder of "${dir}"`)
  }
  return {
    dir,
    owns,
    async ensure(volume) {
      const path = pathOf(volume)
      await mkdir(dir, { recursive: true, mode: PARENT_MODE })
      const isNew = await mkdir(path).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return false
          throw error
        },
      )
      if (isNew) await chmod(path, FOLDER_MODE)
      else await requireFolder(path)
      return path
    },
    async remove(volume) {
      const path = pathOf(volume)
      if (!(await requireFolder(path))) return
      const mounted = await mounter.listBelow(path)
      if (mounted.length > 0) throw new Error(`Cannot remove "${path}": still mounted: ${mounted.join(', ')}`)
      await rm(path, { recursive: true, force: true }) // removes links and does not follow them
    },
  }
}

/** The name that its tenant knows, which is the folder's: nodes see the volumes of all tenants under qualified names. */
function bareName({ name = '', annotations }: PersistentVolume['metadata']): string {
  const suffix = `--${annotations?.[TENANT_ANNOTATION] ?? ''}`
  return suffix.length > 2 && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name
}

/** False when there is nothing. A link in its place may lead anywhere. */
async function requireFolder(path: string): Promise<boolean> {
  const info = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (info === undefined) return false
  if (!info.isDirectory()) throw new Error(`Cannot use "${path}": it is not a directory`)
  return true
}
