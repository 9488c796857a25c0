import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostFolders } from '../sources/nvml/nvml-devices.ts'

/** A library with NVML's calls, and the folders of a host that has its devices. */
export interface NvmlFixture {
  readonly library: string
  readonly folders: HostFolders
  /** Lines of `nvml-fixture.c`'s STATE. */
  setState(...lines: readonly string[]): void
  remove(): void
}

/** Compiles `nvml-fixture.c`; each has a state of its own. Needs a C compiler, as `cc`. */
export function buildNvmlFixture(...state: readonly string[]): NvmlFixture {
  const dir = mkdtempSync(join(tmpdir(), 'nvml-'))
  const [library, stateFile] = [join(dir, 'libnvidia-ml.so.1'), join(dir, 'state')]
  const source = join(import.meta.dirname, 'nvml-fixture.c')
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', `-DSTATE="${stateFile}"`, '-o', library, source])
  const folders = { sys: join(dir, 'sys'), dev: join(dir, 'dev') }
  const slot = join(folders.sys, 'bus/pci/devices/0000:a1:00.0')
  mkdirSync(slot, { recursive: true })
  writeFileSync(join(slot, 'numa_node'), '1\n')
  mkdirSync(folders.dev)
  for (const name of ['nvidiactl', 'nvidia-uvm', 'nvidia0', 'nvidia1']) writeFileSync(join(folders.dev, name), '')
  const setState = (...lines: readonly string[]): void => {
    writeFileSync(`${stateFile}.new`, `${lines.join('\n')}\n`)
    renameSync(`${stateFile}.new`, stateFile) // calls read it meanwhile
  }
  setState(...state)
  return { library, folders, setState, remove: () => rmSync(dir, { recursive: true }) }
}
