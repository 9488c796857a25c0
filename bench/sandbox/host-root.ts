import { copyFileSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Scripts that containers have in /programs. */
export const SCRIPTS = join(import.meta.dirname, 'programs')

/** Fills a root whose /usr is the host's: links to it, users, and {@link SCRIPTS}. */
export function fillHostRoot(rootfs: string): void {
  for (const link of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(readlinkSync(`/${link}`), join(rootfs, link))
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n')
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\n')
  mkdirSync(join(rootfs, 'programs'))
  for (const file of readdirSync(SCRIPTS)) copyFileSync(join(SCRIPTS, file), join(rootfs, 'programs', file))
}
