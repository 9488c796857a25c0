import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttachmentKey } from './cni-request.ts'

/** Detachments that wait at most, several times the pods of a host; then the plugin refuses more. */
export const DELETIONS_MAX = 4_096
/** As the plugin writes them: an id has no colon, nor has a device's name. */
const FILE_NAME = /^([A-Za-z0-9][A-Za-z0-9_.-]*):([^/:\s]{1,15})$/

/**
 * Detachments that the plugin wrote down because no daemon was there: empty files, whose names say the container and the device. The plugin has told the runtime by then that the
 * pod is detached, so whoever comes next does it.
 */
export class DeletionSpool {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Makes the folder, for root only. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
  }

  /** In no order. What the plugin can't have written is not looked at. */
  async list(): Promise<AttachmentKey[]> {
    await this.open()
    const entries = await readdir(this.#dir, { withFileTypes: true })
    return entries.flatMap((entry) => {
      const [, containerId, ifname] = FILE_NAME.exec(entry.name) ?? []
      return entry.isFile() && containerId !== undefined && ifname !== undefined ? [{ containerId, ifname }] : []
    })
  }

  async remove({ containerId, ifname }: AttachmentKey): Promise<void> {
    await rm(join(this.#dir, `${containerId}:${ifname}`), { force: true })
  }
}

/** Where a daemon with this state folder finds them. */
export function deletionsDir(stateDir: string): string {
  return join(stateDir, 'deletions')
}
