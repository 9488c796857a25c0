import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PortName, PORTS, ROOT_TAG } from './guest-scripts.ts'
import { Port } from './port.ts'
import { QEMU } from './programs.ts'

/**
 * The emulated processor. Not `max`: V8 uses what it finds, and AVX, AVX2 and memory protection keys are new in QEMU 7.2's emulation and slow. RDRAND gives a guest random
 * numbers at boot, without which Node.js waits for them.
 */
const CPU = 'Nehalem,+rdrand'
/** Lines of the guest's console that an error shows. */
const CONSOLE_LINES = 30

/** What a machine is made of. Machines that are equal in this can take each other's state. */
export interface Hardware {
  readonly image: string
  readonly initramfs: string
  readonly memoryMiB: number
  readonly cpus: number
  /** Network devices (virtio-net) on one hub that leads nowhere else. */
  readonly nics: number
}

/** A running QEMU. It ends with this process too, however that ends. */
export class Machine {
  readonly ports: Readonly<Record<PortName, Port>>
  /** Rejects when the machine ends by itself, with the end of its console. */
  readonly ended: Promise<never>
  readonly #process: ChildProcess
  readonly #folder: string
  #isClosed = false

  private constructor(made: { process: ChildProcess; folder: string; ports: Readonly<Record<PortName, Port>> }) {
    this.#process = made.process
    this.#folder = made.folder
    this.ports = made.ports
    this.ended = this.#watchEnd()
    this.ended.catch(() => undefined) // whoever waits for something races with it
  }

  /** `state`: a file of {@link save}; the machine goes on where it was saved. */
  static async start(hardware: Hardware, options: { readonly state?: string } = {}): Promise<Machine> {
    const folder = mkdtempSync(join(tmpdir(), 'centaurus-vm-'))
    const ports = {} as Record<PortName, Port>
    for (const name of PORTS) ports[name] = await Port.listen(join(folder, name))
    const incoming = options.state === undefined ? [] : ['-incoming', `exec:cat ${shellQuote(options.state)}`]
    const args = ['--pdeathsig', 'KILL', QEMU, ...qemuArguments(hardware, folder), ...incoming]
    return new Machine({ process: spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'pipe'] }), folder, ports })
  }

  /** Writes the state of the machine to a file and ends it. Nothing of this machine may be mounted in it. */
  async save(file: string): Promise<void> {
    const saved = new Promise<void>((resolve, reject) => {
      let said = ''
      this.#process.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk
        if (/Migration status: completed/.test(said)) resolve()
        else if (/Migration status: failed|Error:/.test(said)) reject(new Error(`${QEMU} cannot save a guest: ${said}`))
      })
    })
    this.#process.stdin!.write(`migrate_set_parameter max-bandwidth 8G\nmigrate "exec:cat > ${file}"\ninfo migrate\n`)
    await Promise.race([saved, this.ended])
    await this.close()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const isOver = this.#process.exitCode !== null || this.#process.signalCode !== null
    const over = isOver ? Promise.resolve() : new Promise((resolve) => this.#process.once('close', resolve))
    this.#process.kill('SIGKILL')
    await over
    for (const port of Object.values(this.ports)) port.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** What its kernel said last. */
  readConsole(): string {
    try {
      const lines = readFileSync(join(this.#folder, 'console'), 'utf8').trim().split('\n')
      return lines.slice(-CONSOLE_LINES).join('\n')
    } catch {
      return '(nothing)'
    }
  }

  #watchEnd(): Promise<never> {
    let complaint = ''
    this.#process.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      complaint += chunk
    })
    return new Promise((_, reject) => {
      this.#process.once('error', reject)
      this.#process.once('close', (code, signal) => {
        if (this.#isClosed) return reject(new Error('The virtual machine was closed'))
        const how = `${QEMU} ended with ${code ?? signal} ${complaint.trim()}`
        reject(new Error(`The virtual machine ended by itself: ${how}. The end of its console:\n${this.readConsole()}`))
      })
    })
  }
}

function qemuArguments({ image, initramfs, memoryMiB, cpus, nics }: Hardware, folder: string): string[] {
  const ports = PORTS.map((name, index) => [
    ['-chardev', `socket,id=${name},path=${join(folder, name)}`],
    ['-device', `virtserialport,chardev=${name},name=${name},nr=${index + 1}`],
  ])
  const devices = Array.from({ length: nics }, (_, index) => [
    ['-netdev', `hubport,id=net${index},hubid=0`],
    ['-device', `virtio-net-pci,netdev=net${index},mac=52:54:00:00:00:0${index + 1},romfile=`],
  ])
  return [
    ['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'stdio'],
    ['-accel', 'tcg,thread=multi', '-cpu', CPU, '-smp', String(cpus), '-m', `${memoryMiB}M`],
    ['-kernel', image, '-initrd', initramfs],
    ['-append', 'console=ttyS0 panic=-1 quiet net.ifnames=0 mitigations=off'],
    ['-serial', `file:${join(folder, 'console')}`],
    // tells the kernel of a restored guest to make its random numbers new
    ['-device', 'vmgenid,guid=auto'],
    ['-fsdev', 'local,id=root,path=/,readonly=on,security_model=none,multidevs=remap'],
    ['-device', `virtio-9p-pci,fsdev=root,mount_tag=${ROOT_TAG}`],
    ['-device', 'virtio-serial-pci'],
    ...ports.flat(),
    ...devices.flat(),
  ].flat()
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
