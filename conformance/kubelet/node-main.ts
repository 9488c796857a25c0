/**
 * A machine for a kubelet: `node node-main.ts FOLDER POD-CIDR [centaurus]`, in namespaces of its own. Hides what the kubelet would change of the real machine, runs a containerd
 * in FOLDER, says `ready`, and stays until its standard input ends.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { silentLogger, systemClock } from '@centaurus/base'
import { formatNetworkList } from '@centaurus/network'
import { startContainerd } from '@centaurus/node'
import { importNodeImages, PAUSE_IMAGE } from '../../apps/centaurus/src/node-images.ts'

/** Of the kernel; the kubelet sets them for the whole machine. Source: setupKernelTunables, pkg/kubelet/cm (v1.37). */
const KERNEL_SETTINGS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
}
/** Device plugins register there, wherever the kubelet's folder is. */
const FIXED_FOLDER = '/var/lib/kubelet'

const [folder, podCIDR, kind] = process.argv.slice(2)
if (folder === undefined || podCIDR === undefined) throw new Error('Name a folder and a range of addresses')
hideMachine(folder)
const containerd = await startContainerd({
  dir: join(folder, 'containerd'),
  clock: systemClock,
  logger: silentLogger,
  sandboxImage: PAUSE_IMAGE,
  // our own network writes the plugins there itself
  network:
    kind === 'centaurus'
      ? { networkList: formatNetworkList(), cniBinDir: join(folder, 'plugins') }
      : { podCIDR, bridge: 'kubelet0' },
})
await importNodeImages(containerd.socket)
console.log('ready')
process.stdin.resume().on('end', () => void containerd.stop().then(() => process.exit(0)))

function hideMachine(home: string): void {
  const bind = (from: string, to: string): void => void execFileSync('mount', ['--bind', from, to])
  mkdirSync(FIXED_FOLDER, { recursive: true })
  mkdirSync(join(home, 'fixed'), { recursive: true })
  bind(join(home, 'fixed'), FIXED_FOLDER)
  for (const [name, value] of Object.entries(KERNEL_SETTINGS)) {
    const file = join('/proc/sys', name)
    if (readFileSync(file, 'utf8').trim() === String(value)) continue
    const shown = join(home, name.replaceAll('/', '-'))
    writeFileSync(shown, `${value}\n`)
    bind(shown, file)
  }
}
