import { callBpf, requireBpf } from './bpf-syscall.ts'
import { DataplaneError } from './dataplane-error.ts'

/** Where a program can sit on a device. `xdp` asks for the driver's own mode, and is refused where there is none. */
export type Hook = 'tcx-ingress' | 'tcx-egress' | 'xdp'

/** `enum bpf_attach_type`. */
const ATTACH_TYPES: Readonly<Record<Hook, number>> = { 'tcx-ingress': 46, 'tcx-egress': 47, xdp: 37 }
const XDP_FLAGS_DRV_MODE = 4

/** Attaches by a link, whose descriptor it returns: the program stays as long as the descriptor or a pin of it. */
export function attachProgram(hook: Hook, options: { readonly programFd: number; readonly ifindex: number }): number {
  const { result } = callBpf('linkCreate', [
    [0, 4, options.programFd],
    [4, 4, options.ifindex],
    [8, 4, ATTACH_TYPES[hook]],
    [12, 4, hook === 'xdp' ? XDP_FLAGS_DRV_MODE : 0],
  ])
  if (result >= 0) return result
  throw new DataplaneError(
    `Cannot attach a program at ${hook} of device ${options.ifindex}: ${whyNot(hook, -result)}`,
    {
      errno: -result,
    },
  )
}

const EPERM = 1
const ENODEV = 19
const EINVAL = 22
const EBUSY = 16
const EEXIST = 17
const EOPNOTSUPP = 95

function whyNot(hook: Hook, errno: number): string {
  if (errno === ENODEV) return 'there is no such device in this network namespace'
  if (errno === EPERM) return 'the process must be root, with CAP_BPF and CAP_NET_ADMIN'
  if (errno === EBUSY || errno === EEXIST) return 'another program has this place'
  if (hook === 'xdp' && errno === EOPNOTSUPP) return 'its driver has no native XDP; use tcx there'
  if (hook === 'xdp' && errno === EINVAL) return 'its driver refuses XDP with this MTU or these offloads; use tcx there'
  if (errno === EINVAL) return 'the kernel must be 6.6 or later'
  return 'the kernel refused'
}

/** Puts another program in the place of a link's, at once: no packet sees neither. */
export function replaceProgram(linkFd: number, programFd: number): void {
  requireBpf('replace the program of a link', 'linkUpdate', [
    [0, 4, linkFd],
    [4, 4, programFd],
  ])
}

/** Bytes of `struct bpf_link_info` that are read here. */
const LINK_INFO_BYTES = 32

/** Device that a link sits on; 0 when the device is gone, and the link with it. */
export function ifindexOfLink(linkFd: number): number {
  const info = Buffer.alloc(LINK_INFO_BYTES)
  requireBpf('ask about a link', 'info', [
    [0, 4, linkFd],
    [4, 4, LINK_INFO_BYTES],
    [8, 8, info],
  ])
  // struct bpf_link_info: type, id, prog_id, then by type; both tcx and xdp begin with the ifindex, after padding to 8.
  return info.readUInt32LE(16)
}

/** Takes the program off at once, whoever else holds the link. */
export function detachLink(linkFd: number): void {
  callBpf('linkDetach', [[0, 4, linkFd]])
}
