import { mkdirSync, statfsSync } from 'node:fs'
import { DataplaneError } from './dataplane-error.ts'
import { lastErrno, loadLibC } from './native.ts'

/** Source: include/uapi/linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11

/** Makes `path` a bpffs when it is none yet; what is pinned there outlives the process. */
export function ensureBpffs(path: string): void {
  mkdirSync(path, { recursive: true })
  if (statfsSync(path).type === BPF_FS_MAGIC) return
  if (loadLibC().mount('bpf', path, 'bpf', 0, null) < 0)
    throw new DataplaneError(
      `Cannot mount a bpf file system at ${path}: the process must be root in a kernel with it`,
      {
        errno: lastErrno(),
      },
    )
}
