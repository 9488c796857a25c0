import { parseArgs } from 'node:util'
import { CPUS_DEFAULT, startGuest } from './guest.ts'
import { prepareKernel } from './kernel.ts'

const USAGE = `Runs a command on another kernel, with this machine's files: a virtual machine without acceleration, so some 8 times slower.

  node tools/vm/src/run.ts [--kernel 6.12] [--timeout 300] [--memory 1536] [--cpus 1] [--nics 0] -- COMMAND…

  --kernel   a series of Debian's kernels, such as 6.12, or one release of it; downloaded once (100 MB) from this machine's Debian repositories
  --timeout  seconds that the command may take
  --memory   MiB; files that the command writes take of it, too
  --cpus     processors
  --nics     network devices eth0…, virtio-net, joined by a hub that leads nowhere else

For example:

  node tools/vm/src/run.ts -- uname -r
  node tools/vm/src/run.ts -- sh -c 'ip link add d0 type dummy; tc qdisc replace dev d0 root fq; tc -s qdisc show dev d0'
  node tools/vm/src/run.ts --kernel 6.1 -- node --test some.root.test.ts

The command runs as root, in this folder and with this PATH. What it writes to files is gone afterwards. Modules load by themselves. Its exit code is this program's (125: the virtual machine
failed). The first run of a kernel boots it and keeps its state (~/.cache/centaurus/guests); later ones go on from there.

Needs: apt-get install --no-install-recommends qemu-system-x86 busybox-static kmod xz-utils
`

/** Most that an option takes. */
const LIMITS = { timeout: 86_400, memory: 65_536, cpus: 16, nics: 8 } as const

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      kernel: { type: 'string', default: '6.12' },
      timeout: { type: 'string', default: '300' },
      memory: { type: 'string', default: '1536' },
      cpus: { type: 'string', default: String(CPUS_DEFAULT) },
      nics: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (values.help || positionals.length === 0) {
    process.stderr.write(USAGE)
    return values.help ? 0 : 2
  }
  const number = (name: keyof typeof LIMITS): number => {
    const value = Number(values[name])
    const least = name === 'nics' ? 0 : 1
    if (Number.isInteger(value) && value >= least && value <= LIMITS[name]) return value
    throw new Error(`--${name} must be a whole number from ${least} to ${LIMITS[name]}, not "${values[name]}"`)
  }
  const timeoutMs = number('timeout') * 1000
  const size = { memoryMiB: number('memory'), cpus: number('cpus'), nics: number('nics') }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
  const kernel = await prepareKernel(values.kernel, (line) => process.stderr.write(`  … ${line}\n`))
  await using guest = await startGuest({ kernel, ...size, signal: stop.signal })
  const { code } = await guest.run(positionals, { timeoutMs, stdout: process.stdout, stderr: process.stderr })
  return code
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 125
}
