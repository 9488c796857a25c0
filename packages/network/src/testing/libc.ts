import koffi from 'koffi'

/** Calls of the C library that tests make with the namespaces of their own thread, where Node.js has no door. */

const library = koffi.load('libc.so.6')

const calls = {
  open: library.func('int open(str path, int flags)'),
  close: library.func('int close(int fd)'),
  setns: library.func('int setns(int fd, int type)'),
  socket: library.func('int socket(int domain, int type, int protocol)'),
  bind: library.func('int bind(int fd, void *address, uint length)'),
  listen: library.func('int listen(int fd, int backlog)'),
  accept4: library.func('int accept4(int fd, void *address, void *length, int flags)'),
  connect: library.func('int connect(int fd, void *address, uint length)'),
  send: library.func('long send(int fd, void *data, ulong length, int flags)'),
  sendto: library.func('long sendto(int fd, void *data, ulong length, int flags, void *address, uint addressLength)'),
  recvfrom: library.func(
    'long recvfrom(int fd, void *data, ulong length, int flags, void *address, void *addressLength)',
  ),
  setsockopt: library.func('int setsockopt(int fd, int level, int option, void *value, uint length)'),
  getsockopt: library.func('int getsockopt(int fd, int level, int option, void *value, void *length)'),
  getsockname: library.func('int getsockname(int fd, void *address, void *length)'),
  poll: library.func('int poll(void *fds, ulong count, int timeout)'),
  if_nametoindex: library.func('uint if_nametoindex(str name)'),
} as const

type Call = keyof typeof calls

/** EWOULDBLOCK is another name of EAGAIN. */
const ERRNO_NAMES = new Map(
  Object.entries(koffi.os.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK')
    .map(([name, value]) => [value, name]),
)

/** What a call of the kernel answered when it refused. */
export class SyscallError extends Error {
  readonly code: string

  constructor(call: string, code: string) {
    super(`${call} failed: ${code}`)
    this.code = code
  }
}

/** Makes a call; its result, or the name of the error, such as `EAGAIN`. */
export function tryCall(call: Call, ...args: readonly unknown[]): number | string {
  const result = Number(calls[call](...args))
  if (result >= 0) return result
  const errno = koffi.errno()
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`
}

/** Makes a call that has to succeed. */
export function mustCall(call: Call, ...args: readonly unknown[]): number {
  const result = tryCall(call, ...args)
  if (typeof result === 'string') throw new SyscallError(call, result)
  return result
}
