import { execFileSync } from 'node:child_process'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import type { Attachment, Attachments } from './attachments.ts'

/**
 * Where packets of the tunnel are met. `xdp`: before an skb exists, by the driver's own XDP; `tcx`: after, which keeps large packets whole on virtual devices;
 * `auto`: `xdp` for devices of hardware whose driver takes it.
 */
export type AttachMode = 'auto' | 'xdp' | 'tcx'

interface SeenLink {
  readonly ifindex: number
  readonly linkinfo?: { readonly info_kind?: string }
}

/** tcx is there in every mode: XDP leaves to it what it has no means for. */
export function attachUplink(
  attachments: Attachments,
  uplink: { readonly ifindex: number; readonly mode: AttachMode },
): void {
  const { ifindex, mode } = uplink
  const xdp: Attachment = { program: 'from_uplink_xdp', hook: 'xdp', ifindex }
  attachments.attach({ program: 'from_uplink', hook: 'tcx-ingress', ifindex })
  attachments.attach({ program: 'to_uplink', hook: 'tcx-egress', ifindex })
  if (mode === 'tcx' || (mode === 'auto' && isVirtual(ifindex))) {
    attachments.detach(xdp)
    return
  }
  try {
    attachments.attach(xdp)
  } catch (error) {
    if (mode === 'xdp' || !(error instanceof DataplaneError)) throw error
    // the driver has none: tcx does it all
  }
}

/** A device that may have gone meanwhile: who looks for devices looks again. */
export function attachEntrance(attachments: Attachments, ifindex: number): void {
  try {
    attachUplink(attachments, { ifindex, mode: 'tcx' })
  } catch (error) {
    if (!(error instanceof DataplaneError) || error.code !== 'ENODEV') throw error
  }
}

/** Devices of the kernel's own making say what kind they are; hardware's don't. */
function isVirtual(ifindex: number): boolean {
  const links = JSON.parse(execFileSync('ip', ['-json', '-details', 'link', 'show']).toString()) as SeenLink[]
  return links.find((link) => link.ifindex === ifindex)?.linkinfo?.info_kind !== undefined
}
