import { parseArgs } from 'node:util'
import { commandHere } from './command-here.ts'
import { prepareKernel } from './kernel.ts'
import { runInVm } from './virtual-machine.ts'

const USAGE = `Runs a command on another kernel (a virtual machine without acceleration, so some 8 times slower), with this machine's files.

  node tools/vm/src/run.ts [--kernel 6.12] [--timeout 300] [--memory 1536] [--nics 2] -- COMMAND…

  --kernel   series of Debian's kernels, or one release
  --timeout  seconds, boot included
  --memory   MiB
  --nics     network devices eth0…, joined by a hub
`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: {
      kernel: { type: 'string', default: '6.12' },
      timeout: { type: 'string', default: '300' },
      memory: { type: 'string', default: '1536' },
      nics: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (values.help || positionals.length === 0) {
    process.stderr.write(USAGE)
    return values.help ? 0 : 2
  }
  const number = (name: 'timeout' | 'memory' | 'nics', most: number): number => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= 0 && value <= most) return value
    throw new Error(`--${name} must be a whole number from 0 to ${most}, not "${values[name]}"`)
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
  const numbers = {
    timeoutMs: number('timeout', 86_400) * 1000,
    memoryMiB: number('memory', 65_536),
    nics: number('nics', 8),
  }
  const kernel = await prepareKernel(values.kernel, (line) => process.stderr.write(`  … ${line}\n`))
  return runInVm({
    ...numbers,
    kernel,
    command: commandHere(positionals),
    stdout: process.stdout,
    stderr: process.stderr,
    signal: stop.signal,
  })
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 125
}
