import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Writable } from 'node:stream'
import { PORTS, ROOT_TAG, type GuestCommand } from './guest-scripts.ts'
import { buildInitramfs } from './initramfs.ts'
import type { Kernel } from './kernel.ts'
import { MissingError } from './missing-error.ts'

const QEMU = 'qemu-system-x86_64'
const TIMEOUT_MS_DEFAULT = 300_000
const MEMORY_MIB_DEFAULT = 1536
const CPUS_DEFAULT = 2
/** Lines of the guest's console that an error shows. */
const CONSOLE_LINES = 30

export interface VmOptions {
  readonly kernel: Kernel
  readonly command: GuestCommand
  readonly stdout: Writable
  readonly stderr: Writable
  /** Of the whole run, boot included. */
  readonly timeoutMs?: number | undefined
  /** Network devices (virtio-net) on one hub that leads nowhere else; default none. */
  readonly nics?: number | undefined
  readonly memoryMiB?: number | undefined
  readonly cpus?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a command on another kernel, with this machine's files. What it writes to them is gone afterwards. Returns its exit code. Throws {@link MissingError} when a
 * program is missing, and an error with the end of the guest's console when the guest dies or takes too long.
 */
export async function runInVm(options: VmOptions): Promise<number> {
  requirePrograms()
  const folder = mkdtempSync(join(tmpdir(), 'centaurus-vm-'))
  const ports = PORTS.map((name) => new Port(join(folder, name), name))
  try {
    for (const port of ports) await port.listen()
    const [out, err, status] = ports as [Port, Port, Port]
    out.follow(options.stdout)
    err.follow(options.stderr)
    const initramfs = buildInitramfs({
      kernel: options.kernel,
      busybox: findProgram('busybox')!,
      command: options.command,
      folder,
    })
    await runMachine(qemuArguments(options, { folder, initramfs }), options)
    if (status.text === '') throw new Error('The virtual machine ended before the command did')
    return Number(status.text)
  } catch (error) {
    if (error instanceof MissingError) throw error
    throw new Error(`${(error as Error).message}. The end of its console:\n${readConsole(folder)}`, { cause: error })
  } finally {
    for (const port of ports) port.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function requirePrograms(): void {
  const needed = [
    [QEMU, 'qemu-system-x86'],
    ['busybox', 'busybox-static'],
    ['xz', 'xz-utils'],
    ['setpriv', 'util-linux'],
    ['modprobe', 'kmod'],
  ] as const
  const missing = needed.filter(([program]) => findProgram(program) === undefined).map(([, name]) => name)
  if (missing.length > 0)
    throw new MissingError(`Cannot start a virtual machine: install the Debian packages ${missing.join(', ')}`)
}

function findProgram(name: string): string | undefined {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  return dirs
    .map((dir) => join(dir, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** A way out of the guest. */
class Port {
  readonly path: string
  readonly name: string
  text = ''
  #listener: (chunk: string) => void
  readonly #server: Server

  constructor(path: string, name: string) {
    this.path = path
    this.name = name
    this.#listener = (chunk) => {
      this.text += chunk
    }
    this.#server = createServer((socket) => {
      socket.setEncoding('utf8')
      socket.on('data', (chunk: string) => this.#listener(chunk))
      socket.on('error', () => undefined) // the machine was ended
    })
  }

  follow(stream: Writable): void {
    this.#listener = (chunk) => void stream.write(chunk)
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.path, resolve)
    })
  }

  close(): void {
    this.#server.close()
  }
}

function qemuArguments(options: VmOptions, made: { readonly folder: string; readonly initramfs: string }): string[] {
  const { kernel, nics = 0, memoryMiB = MEMORY_MIB_DEFAULT, cpus = CPUS_DEFAULT } = options
  const ports = PORTS.map((name, index) => [
    ['-chardev', `socket,id=${name},path=${join(made.folder, name)}`],
    ['-device', `virtserialport,chardev=${name},name=${name},nr=${index + 1}`],
  ])
  const devices = Array.from({ length: nics }, (_, index) => [
    ['-netdev', `hubport,id=net${index},hubid=0`],
    ['-device', `virtio-net-pci,netdev=net${index},mac=52:54:00:00:00:0${index + 1},romfile=`],
  ])
  return [
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', String(cpus), '-m', `${memoryMiB}M`],
    ['-kernel', kernel.image, '-initrd', made.initramfs],
    ['-append', 'console=ttyS0 panic=-1 quiet net.ifnames=0 mitigations=off'],
    ['-serial', `file:${join(made.folder, 'console')}`],
    ['-fsdev', 'local,id=root,path=/,readonly=on,security_model=none,multidevs=remap'],
    ['-device', `virtio-9p-pci,fsdev=root,mount_tag=${ROOT_TAG}`],
    ['-device', 'virtio-serial-pci'],
    ...ports.flat(),
    ...devices.flat(),
  ].flat()
}

/** Waits for the machine's end. It ends with this process too, however that ends. */
async function runMachine(args: readonly string[], options: VmOptions): Promise<void> {
  const { timeoutMs = TIMEOUT_MS_DEFAULT, signal } = options
  const timeout = AbortSignal.timeout(timeoutMs)
  const stop = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
  const machine = spawn('setpriv', ['--pdeathsig', 'KILL', QEMU, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const end = (): void => void machine.kill('SIGKILL')
  stop.addEventListener('abort', end)
  try {
    const { code, complaint } = await closeOf(machine)
    if (signal?.aborted === true) throw new Error('The virtual machine was stopped')
    if (timeout.aborted) throw new Error(`The virtual machine did not end within ${timeoutMs / 1000} s`)
    if (code !== 0) throw new Error(`${QEMU} ended with code ${code}: ${complaint.trim()}`)
  } finally {
    stop.removeEventListener('abort', end)
  }
}

function closeOf(machine: ChildProcess): Promise<{ code: number | null; complaint: string }> {
  let complaint = ''
  machine.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk
  })
  return new Promise((resolve, reject) => {
    machine.once('error', reject)
    machine.once('close', (code) => resolve({ code, complaint }))
  })
}

function readConsole(folder: string): string {
  try {
    return readFileSync(join(folder, 'console'), 'utf8').split('\n').slice(-CONSOLE_LINES).join('\n').trim()
  } catch {
    return '(nothing)'
  }
}
