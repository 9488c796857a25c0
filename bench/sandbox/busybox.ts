import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const BUSYBOX = '/bin/busybox'

/** Puts a static busybox into a root file system as `true`, `sleep` and `sh`. Throws when the host has none. */
export function copyBusybox(rootfs: string): void {
  if (!existsSync(BUSYBOX)) throw new Error(`Cannot find ${BUSYBOX}: apt-get install busybox-static`)
  mkdirSync(join(rootfs, 'bin'))
  copyFileSync(BUSYBOX, join(rootfs, 'bin/busybox'))
  for (const name of ['true', 'sleep', 'sh']) symlinkSync('busybox', join(rootfs, 'bin', name))
}
