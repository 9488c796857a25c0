import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Kernel } from './kernel.ts'
import { FIRST_SCRIPT, secondScript } from './guest-scripts.ts'

/** What the root file system needs before modules can be loaded from it. */
const BOOT_MODULES = ['9pnet_virtio', '9p', 'overlay']
/** Needed too, but part of the kernel itself in newer ones (6.12). */
const BOOT_MODULES_OR_BUILT_IN = ['virtio_pci', 'virtio_console', 'virtio_net']

export interface InitramfsOptions {
  readonly kernel: Kernel
  readonly busybox: string
  /** Of the caller's; what is built is left there. */
  readonly folder: string
}

/** Writes the archive that the kernel starts from: busybox, a few modules, and what to do. Returns its path. */
export function buildInitramfs({ kernel, busybox, folder }: InitramfsOptions): string {
  const root = join(folder, 'initramfs')
  for (const dir of ['bin', 'dev', 'lower', 'modules', 'ports', 'proc', 'root', 'sys', 'upper'])
    mkdirSync(join(root, dir), { recursive: true })
  copyFileSync(busybox, join(root, 'bin/busybox'))
  const builtIn = new Set(readFileSync(join(kernel.modulesDir, 'modules.builtin'), 'utf8').split('\n').map(moduleFile))
  const names = BOOT_MODULES_OR_BUILT_IN.filter((name) => !builtIn.has(`${name}.ko`))
  const modulesDep = readFileSync(join(kernel.modulesDir, 'modules.dep'), 'utf8')
  const modules = orderModules(modulesDep, [...names, ...BOOT_MODULES])
  for (const module of modules) unpackModule(join(kernel.modulesDir, module), join(root, 'modules'))
  writeFileSync(join(root, 'modules/order'), modules.map((path) => `${moduleFile(path)}\n`).join(''))
  writeFileSync(join(root, 'init'), FIRST_SCRIPT, { mode: 0o755 })
  writeFileSync(join(root, 'second'), secondScript(kernel), { mode: 0o755 })
  const files = execFileSync(busybox, ['find', '.'], { cwd: root })
  const archive = join(folder, 'initramfs.cpio')
  writeFileSync(archive, execFileSync(busybox, ['cpio', '-o', '-H', 'newc'], options({ cwd: root, input: files })))
  return archive
}

function options(of: { readonly cwd?: string; readonly input?: Buffer }): object {
  return { ...of, maxBuffer: 256 * 2 ** 20, stdio: ['pipe', 'pipe', 'ignore'] }
}

/** busybox's insmod reads no compressed modules. */
function unpackModule(path: string, folder: string): void {
  const file = join(folder, moduleFile(path))
  writeFileSync(file, path.endsWith('.xz') ? execFileSync('xz', ['-dc', path], options({})) : readFileSync(path))
}

function moduleFile(path: string): string {
  return basename(path).replace(/\.xz$/, '')
}

/** Paths of modules and of what they need, in the order in which they can be loaded. Source: modules.dep(5), which lists what is needed last first. */
export function orderModules(modulesDep: string, names: readonly string[]): string[] {
  const needs = new Map(
    modulesDep.split('\n').flatMap((line) => {
      const [path, rest] = line.split(':')
      return rest === undefined ? [] : [[path!, rest.split(' ').filter(Boolean)] as const]
    }),
  )
  const paths = [...needs.keys()]
  const order = new Set<string>()
  for (const name of names) {
    const path = paths.find((candidate) => moduleFile(candidate) === `${name}.ko`)
    if (path === undefined) throw new Error(`Cannot find the module ${name} in modules.dep`)
    for (const needed of needs.get(path)!.toReversed()) order.add(needed)
    order.add(path)
  }
  return [...order]
}
