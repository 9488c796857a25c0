import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BpfObject, loadObject, type ProgramName } from '@centaurus/network/testing'

const PROGRAMS = join(import.meta.dirname, '../../bpf')
/** Of the C library's per-machine headers, which `-target bpf` doesn't search. */
const MACHINE_INCLUDES = ['-I/usr/include/x86_64-linux-gnu', '-I/usr/include/aarch64-linux-gnu']

/** A program of the data plane whose entry is made an ordinary function, for a program of the bench's own to call. */
export interface CalledProgram {
  readonly name: ProgramName
}

export interface BenchObjectOptions {
  readonly directory: string
  /** Tables that exist already, which it is to use. */
  readonly maps?: ReadonlyMap<string, number>
  readonly calls?: CalledProgram
}

/** Compiles and loads a program of the bench's own. */
export function loadBenchObject(name: string, { directory, maps = new Map(), calls }: BenchObjectOptions): BpfObject {
  const object = join(directory, `${name}-${calls?.name ?? 'alone'}.o`)
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wno-address-of-packed-member', `-I${PROGRAMS}`]
  const called =
    calls === undefined ? [] : [`-DHOT_SOURCE="${writeCalled(directory, calls)}"`, `-DHOT_PROGRAM=${calls.name}`]
  const source = join(import.meta.dirname, `${name}.bpf.c`)
  execFileSync('clang', [...flags, ...MACHINE_INCLUDES, ...called, '-c', source, '-o', object])
  return loadObject(object, { maps })
}

function writeCalled(directory: string, { name }: CalledProgram): string {
  const source = readFileSync(join(PROGRAMS, `${name}.c`), 'utf8')
  const called = source.replace(/^SEC\("(?:tc|xdp\.frags)"\)$/m, '__noinline')
  if (called === source) throw new Error(`Cannot find the entry of bpf/${name}.c`)
  const path = join(directory, `called_${name}.c`)
  writeFileSync(path, called)
  return path
}
