import { readMapInfo } from './bpf-map.ts'
import { DataplaneError } from './dataplane-error.ts'
import { layoutOf, readMapLayout } from './map-layout.ts'
import { addressOf, isNull, lastErrno, loadLibBpf, viewOf, type Pointer } from './native.ts'
import { isSameLayout } from '../layouts/record-layout.ts'

/** Room for what the verifier says of one program when it refuses it. */
const VERIFIER_LOG_BYTES = 1024 * 1024
/** Lines of it that a message quotes: the last ones say why. */
const VERIFIER_LOG_LINES = 12

export interface BpfObjectOptions {
  /** Maps that exist already, by name: the object uses them instead of new ones. One of another shape is left, and a new one made. */
  readonly maps: ReadonlyMap<string, number>
  /** Sizes that differ from those in the file. */
  readonly maxEntries?: ReadonlyMap<string, number>
}

/** A file of programs in the kernel. Descriptors are the object's: {@link close} closes them. */
export interface BpfObject {
  readonly maps: ReadonlyMap<string, number>
  readonly programs: ReadonlyMap<string, number>
  close(): void
}

/** Loads the file that clang made. Throws `DataplaneError` with the verifier's last lines when the kernel refuses a program. */
export function loadObject(path: string, options: BpfObjectOptions): BpfObject {
  const lib = loadLibBpf()
  const object = lib.openFile(path, null)
  if (isNull(object)) throw new DataplaneError(`Cannot open the programs in ${path}`, { errno: lastErrno() })
  try {
    const types = readTypes(object)
    for (const map of each(object, lib.nextMap)) prepareMap(map, { ...options, types })
    const logs = each(object, lib.nextProgram).map((program) => {
      const log = Buffer.alloc(VERIFIER_LOG_BYTES)
      lib.setLog(program, addressOf(log), log.length)
      return { name: lib.programName(program), log }
    })
    const result = lib.load(object)
    if (result < 0) throw new DataplaneError(`Cannot load ${path}: ${describeRefusal(logs)}`, { errno: -result })
    return {
      maps: new Map(each(object, lib.nextMap).map((map) => [lib.mapName(map), lib.mapFd(map)])),
      programs: new Map(each(object, lib.nextProgram).map((item) => [lib.programName(item), lib.programFd(item)])),
      close: () => lib.closeObject(object),
    }
  } catch (error) {
    lib.closeObject(object)
    throw error
  }
}

function prepareMap(map: Pointer, options: BpfObjectOptions & { readonly types: Uint8Array }): void {
  const lib = loadLibBpf()
  const name = lib.mapName(map)
  const count = options.maxEntries?.get(name)
  if (count !== undefined) lib.setMaxEntries(map, count)
  const fd = options.maps.get(name)
  if (fd === undefined || !hasShapeOf(fd, map) || !hasLayoutOf(fd, map, options.types)) return
  const result = lib.reuseMap(map, fd)
  if (result < 0) throw new DataplaneError(`Cannot use the map ${name} that exists already`, { errno: -result })
}

function hasShapeOf(fd: number, map: Pointer): boolean {
  const lib = loadLibBpf()
  const { type, keyBytes, valueBytes } = readMapInfo(fd)
  return type === lib.mapType(map) && keyBytes === lib.keySize(map) && valueBytes === lib.valueSize(map)
}

/** BTF of the whole file. */
function readTypes(object: Pointer): Uint8Array {
  const lib = loadLibBpf()
  const types = lib.objectTypes(object)
  if (isNull(types)) return new Uint8Array()
  const size = new Uint32Array(1)
  const data = lib.rawTypes(types, size)
  return isNull(data) ? new Uint8Array() : new Uint8Array(viewOf(data, size[0]!)).slice()
}

/** Records of one size may be others all the same. */
function hasLayoutOf(fd: number, map: Pointer, types: Uint8Array): boolean {
  const lib = loadLibBpf()
  const before = readMapLayout(fd)
  const after = layoutOf(types, { key: lib.keyType(map), value: lib.valueType(map) })
  if (before === undefined || after === undefined) return true
  return isSameLayout(before.key, after.key) && isSameLayout(before.value, after.value)
}

function each(object: Pointer, next: (object: Pointer, previous: Pointer) => Pointer): Pointer[] {
  const found: Pointer[] = []
  for (let item = next(object, 0n); !isNull(item); item = next(object, item)) found.push(item)
  return found
}

function describeRefusal(logs: readonly { name: string; log: Buffer }[]): string {
  for (const { name, log } of logs.toReversed()) {
    const text = log.toString('latin1', 0, log.indexOf(0)).trim()
    if (text === '') continue
    return `the kernel (6.6 or later is required) refused program ${name}:\n${text.split('\n').slice(-VERIFIER_LOG_LINES).join('\n')}`
  }
  return 'the kernel must be 6.6 or later, with BPF and BTF, and the process root'
}
