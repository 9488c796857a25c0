/** The only door to native code: libbpf.so.1 and the C library, by koffi. */
import { promisify } from 'node:util'
import koffi, { type LibraryHandle } from 'koffi'
import { DataplaneError } from './dataplane-error.ts'

/** bpf(2) on the machines that we run on. Source: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
const BPF_SYSCALL: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 321, arm64: 280 }

/** An address in this process, such as that of a `struct bpf_object`. koffi gives small integers as `number`. */
export type Pointer = bigint | number

/** Whether a call that returns an address returned none. */
export function isNull(pointer: Pointer): boolean {
  return BigInt(pointer) === 0n
}

interface LibBpf {
  readonly openFile: (path: string, options: null) => Pointer
  readonly load: (object: Pointer) => number
  readonly closeObject: (object: Pointer) => void
  readonly nextMap: (object: Pointer, previous: Pointer) => Pointer
  readonly mapName: (map: Pointer) => string
  readonly mapFd: (map: Pointer) => number
  readonly setMaxEntries: (map: Pointer, count: number) => number
  readonly mapType: (map: Pointer) => number
  readonly keySize: (map: Pointer) => number
  readonly valueSize: (map: Pointer) => number
  readonly keyType: (map: Pointer) => number
  readonly valueType: (map: Pointer) => number
  readonly reuseMap: (map: Pointer, fd: number) => number
  readonly objectTypes: (object: Pointer) => Pointer
  /** Writes the length to the array. */
  readonly rawTypes: (types: Pointer, size: Uint32Array) => Pointer
  readonly nextProgram: (object: Pointer, previous: Pointer) => Pointer
  readonly programName: (program: Pointer) => string
  readonly programFd: (program: Pointer) => number
  readonly setLog: (program: Pointer, buffer: Pointer, size: number) => number
  readonly newRing: (fd: number, callback: Pointer, context: null, options: null) => Pointer
  readonly consumeRing: (ring: Pointer) => number
  readonly freeRing: (ring: Pointer) => void
}

interface LibC {
  readonly syscall: (number: number, command: number, attributes: Uint8Array, size: number) => number
  readonly mount: (source: string, target: string, type: string, flags: number, data: null) => number
  /** Address, length, protection, flags, descriptor, offset. */
  readonly mmap: (...values: readonly [null, number, number, number, number, number]) => Pointer
  readonly munmap: (address: Pointer, length: number) => number
  readonly setns: (fd: number, type: number) => number
  readonly socket: (domain: number, type: number, protocol: number) => number
  readonly bind: (fd: number, address: Uint8Array, length: number) => number
  readonly listen: (fd: number, backlog: number) => number
  readonly setsockopt: (fd: number, level: number, option: number, value: Uint8Array, length: number) => number
  /** On another thread, since the kernel may take its time. Resolves with the result; what went wrong is not known. */
  readonly send: (fd: number, data: Uint8Array, length: number, flags: number) => Promise<number>
  readonly sendNow: (fd: number, data: Uint8Array, length: number, flags: number) => number
  readonly recv: (fd: number, data: Uint8Array, length: number, flags: number) => number
}

let libBpf: LibBpf | undefined
let libC: LibC | undefined

/** libbpf; loaded when first asked for. Throws `DataplaneError` when the machine has none. */
export function loadLibBpf(): LibBpf {
  libBpf ??= bindLibBpf()
  return libBpf
}

function bindLibBpf(): LibBpf {
  let library: LibraryHandle
  try {
    library = koffi.load('libbpf.so.1')
  } catch (cause) {
    throw new DataplaneError('Cannot load libbpf.so.1: install the Debian package libbpf1 (libbpf 1.1 or later)', {
      cause,
    })
  }
  // Its messages would go to standard error; what matters comes back as results and verifier logs.
  library.func('uintptr_t libbpf_set_print(uintptr_t print)')(0n)
  const bind = <T>(declaration: string): T => library.func(declaration) as unknown as T
  return {
    openFile: bind('uintptr_t bpf_object__open_file(const char *path, void *options)'),
    load: bind('int bpf_object__load(uintptr_t object)'),
    closeObject: bind('void bpf_object__close(uintptr_t object)'),
    nextMap: bind('uintptr_t bpf_object__next_map(uintptr_t object, uintptr_t map)'),
    mapName: bind('const char *bpf_map__name(uintptr_t map)'),
    mapFd: bind('int bpf_map__fd(uintptr_t map)'),
    setMaxEntries: bind('int bpf_map__set_max_entries(uintptr_t map, uint32_t count)'),
    mapType: bind('int bpf_map__type(uintptr_t map)'),
    keySize: bind('uint32_t bpf_map__key_size(uintptr_t map)'),
    valueSize: bind('uint32_t bpf_map__value_size(uintptr_t map)'),
    keyType: bind('uint32_t bpf_map__btf_key_type_id(uintptr_t map)'),
    valueType: bind('uint32_t bpf_map__btf_value_type_id(uintptr_t map)'),
    objectTypes: bind('uintptr_t bpf_object__btf(uintptr_t object)'),
    rawTypes: bind('uintptr_t btf__raw_data(uintptr_t btf, uint32_t *size)'),
    reuseMap: bind('int bpf_map__reuse_fd(uintptr_t map, int fd)'),
    nextProgram: bind('uintptr_t bpf_object__next_program(uintptr_t object, uintptr_t program)'),
    programName: bind('const char *bpf_program__name(uintptr_t program)'),
    programFd: bind('int bpf_program__fd(uintptr_t program)'),
    setLog: bind('int bpf_program__set_log_buf(uintptr_t program, uintptr_t buffer, size_t size)'),
    newRing: bind('uintptr_t ring_buffer__new(int fd, uintptr_t callback, void *context, void *options)'),
    consumeRing: bind('int ring_buffer__consume(uintptr_t ring)'),
    freeRing: bind('void ring_buffer__free(uintptr_t ring)'),
  }
}

/** The C library that this process has. */
export function loadLibC(): LibC {
  libC ??= bindLibC()
  return libC
}

function bindLibC(): LibC {
  const library = koffi.load(null)
  const send = library.func('long send(int fd, void *data, size_t length, int flags)')
  const bind = <T>(declaration: string): T => library.func(declaration) as unknown as T
  return {
    syscall: bind('long syscall(long number, int command, void *attributes, uint32_t size)'),
    mount: bind('int mount(const char *source, const char *target, const char *type, ulong flags, void *data)'),
    mmap: bind('uintptr_t mmap(void *address, size_t length, int protection, int flags, int fd, long offset)'),
    munmap: bind('int munmap(uintptr_t address, size_t length)'),
    setns: bind('int setns(int fd, int type)'),
    socket: bind('int socket(int domain, int type, int protocol)'),
    bind: bind('int bind(int fd, void *address, uint32_t length)'),
    listen: bind('int listen(int fd, int backlog)'),
    setsockopt: bind('int setsockopt(int fd, int level, int option, void *value, uint32_t length)'),
    send: promisify(send.async) as LibC['send'],
    sendNow: send as unknown as LibC['sendNow'],
    recv: bind('long recv(int fd, void *data, size_t length, int flags)'),
  }
}

/** Of the last call that failed. */
export function lastErrno(): number {
  return koffi.errno()
}

/** Where the bytes are; they stay there as long as the array lives. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes)
}

/** Memory that is not JavaScript's, as if it were. The caller must not use it after it is unmapped. */
export function viewOf(pointer: Pointer, length: number): ArrayBuffer {
  return koffi.view(BigInt(pointer), length)
}

const ringCallback = koffi.proto('int RingSample(void *context, uintptr_t data, size_t size)')

/** A C function that calls `listener` with a copy of each sample. */
export function registerRingCallback(listener: (sample: Uint8Array) => void): Pointer {
  return koffi.register((_context: unknown, data: Pointer, size: number | bigint) => {
    listener(new Uint8Array(koffi.view(BigInt(data), Number(size))).slice())
    return 0
  }, koffi.pointer(ringCallback))
}

export function unregisterRingCallback(callback: Pointer): void {
  koffi.unregister(BigInt(callback))
}

/** Number of bpf(2). */
export function bpfSyscallNumber(): number {
  const number = BPF_SYSCALL[process.arch]
  if (process.platform !== 'linux' || number === undefined)
    throw new DataplaneError(`Pod networks need Linux on x64 or arm64: this is ${process.platform} on ${process.arch}`)
  return number
}
