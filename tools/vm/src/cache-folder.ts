import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where kernels and snapshots stay from run to run; nothing in it is missed when it is deleted. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'centaurus')
}
