import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parseLogLine } from '../server/log-format.ts'
import type { LocalVolumes } from '../volumes/local-volumes.ts'
import type { Mounter } from '../volumes/mounts.ts'
import { refreshVolumes, setUpVolumes, tearDownVolumes } from '../volumes/pod-volumes.ts'
import { resolveSubPath } from '../volumes/sub-path.ts'
import { measureFolder } from './disk-usage.ts'
import { rotateLog } from './log-rotation.ts'
import type { PodFiles } from './node-host.ts'

/** Source: kubelet types MaxContainerTerminationMessageLength and …LogLength, …LogLines, v1.37. */
const TERMINATION_BYTES_MAX = 4096
const FALLBACK_LOG_BYTES_MAX = 2048
const FALLBACK_LOG_LINES_MAX = 80

/** Files of pods below `rootDir`, on this machine. */
export function createSystemFiles({
  rootDir,
  mounter,
  localVolumes,
}: {
  readonly rootDir: string
  readonly mounter: Mounter
  readonly localVolumes?: LocalVolumes | undefined
}): PodFiles {
  const podDir = (podUid: string): string => join(rootDir, 'pods', podUid)
  const terminationFile = (podUid: string, name: string, attempt: number): string =>
    join(podDir(podUid), 'containers', name, String(attempt))
  return {
    async setUpVolumes(pod, sources) {
      const dir = podDir(pod.metadata.uid ?? '')
      await mkdir(dir, { recursive: true, mode: 0o750 })
      return setUpVolumes(pod, { podDir: dir, mounter, sources, localVolumes })
    },
    refreshVolumes: (pod, sources) => refreshVolumes(pod, { podDir: podDir(pod.metadata.uid ?? ''), mounter, sources }),
    tearDown: (podUid) => tearDownVolumes({ podDir: podDir(podUid), mounter }),
    podUids: () => readdir(join(rootDir, 'pods')).catch(() => []),
    async writeHosts(pod, content) {
      const file = join(podDir(pod.metadata.uid ?? ''), 'etc-hosts')
      await writeFile(file, content)
      return file
    },
    readHostHosts: () => readFile('/etc/hosts', 'utf8').catch(() => ''),
    resolveSubPath,
    async createTerminationFile(pod, container, attempt) {
      const file = terminationFile(pod.metadata.uid ?? '', container.name, attempt)
      await mkdir(join(file, '..'), { recursive: true })
      // Whatever user the container runs as may write its last words.
      const handle = await open(file, 'w', 0o666)
      await handle.chmod(0o666)
      await handle.close()
      return file
    },
    readTerminationFile: (podUid, name, attempt) =>
      readHead(terminationFile(podUid, name, attempt), TERMINATION_BYTES_MAX),
    async readLogTail(logPath) {
      const text = await readEnd(logPath, 4 * FALLBACK_LOG_BYTES_MAX)
      const lines = text.split('\n').slice(-FALLBACK_LOG_LINES_MAX - 1)
      const content = lines.map((line) => parseLogLine(line)?.text ?? '').join('')
      return content.slice(-FALLBACK_LOG_BYTES_MAX)
    },
    measureEmptyDir: (podUid, name) => measureFolder(join(podDir(podUid), 'volumes', 'kubernetes.io~empty-dir', name)),
    measureLogs: (directory, name) => measureFolder(join(directory, name)),
    prepareLogs: async (directory, name) => void (await mkdir(join(directory, name), { recursive: true })),
    removeLogs: (directory) => rm(directory, { recursive: true, force: true }),
    logDirectories: (podLogsDir) => readdir(podLogsDir).catch(() => []),
    rotateLog,
  }
}

async function readHead(file: string, bytes: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined)
  if (handle === undefined) return ''
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function readEnd(file: string, bytes: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined)
  if (handle === undefined) return ''
  try {
    const { size } = await handle.stat()
    const length = Math.min(size, bytes)
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8')
  } finally {
    await handle.close()
  }
}
