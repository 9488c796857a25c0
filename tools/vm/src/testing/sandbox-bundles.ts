import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildQuark, findCargo, quarkFolder } from '@centaurus/sandbox'
import { buildGuests, containerConfig, listCases } from '@centaurus/sandbox/testing'

const PROGRAMS = ['cat', 'dd', 'echo', 'id', 'ls', 'seq', 'sh', 'sleep', 'true', 'wc']

/** What a bundle's config.json says beside what every container of the tests has. */
export interface BundleOptions {
  /** A script for busybox's shell. */
  readonly script: string
  /** `linux.resources`. */
  readonly resources?: object
  /** `linux.cgroupsPath`. */
  readonly cgroupsPath?: string
}

/** A folder of this machine, which the guest sees, with the runtime and bundles for it. */
export class SandboxBundles {
  readonly quark: string
  readonly cases: readonly string[]
  readonly #folder: string

  private constructor(made: { folder: string; quark: string; cases: readonly string[] }) {
    this.#folder = made.folder
    this.quark = made.quark
    this.cases = made.cases
  }

  /** Builds the runtime and the guests' cases where no earlier run has. */
  static async create(): Promise<SandboxBundles> {
    const cargo = await findCargo()
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    const quark = await buildQuark({ outDir: quarkFolder(), cargo, report })
    const guests = await buildGuests({ cargo: cargo.path!, report })
    const folder = mkdtempSync(join(tmpdir(), 'vm-sandbox-'))
    for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
      mkdirSync(join(folder, 'rootfs', name), { recursive: true })
    copyFileSync('/bin/busybox', join(folder, 'rootfs/bin/busybox'))
    for (const name of PROGRAMS) symlinkSync('busybox', join(folder, 'rootfs/bin', name))
    copyFileSync(guests, join(folder, 'rootfs/guests'))
    for (const name of ['', 'rootfs', 'rootfs/bin/busybox', 'rootfs/guests']) chmodSync(join(folder, name), 0o755)
    return new SandboxBundles({ folder, quark, cases: listCases(guests) })
  }

  /** Writes a bundle whose program is a script and returns its path. */
  add(name: string, { script, resources, cgroupsPath }: BundleOptions): string {
    const config = containerConfig({ args: [] })
    const args = ['/bin/sh', '-c', script]
    return this.#write(name, {
      ...config,
      process: { ...config.process, args, env: ['PATH=/bin'] },
      mounts: [...config.mounts, { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro'] }],
      linux: { ...config.linux, resources, cgroupsPath },
    })
  }

  /** Writes a bundle that runs cases and returns its path. */
  addCases(name: string, cases: readonly string[]): string {
    return this.#write(name, containerConfig({ args: cases }))
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #write(name: string, config: object): string {
    const bundle = join(this.#folder, name)
    mkdirSync(bundle)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...config, root: { path: '../rootfs' } }))
    return bundle
  }
}
