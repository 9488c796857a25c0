import type { NetworkNamespace } from './network-namespace.ts'
import { pollSockets, Socket } from './sockets.ts'

const EXPECTED_MS_MAX = 15_000
/** What must not come is watched for so long. */
const QUIET_MS = 80

/** Sees every frame that reaches a pod, also those that no socket of it would take. */
export class FrameWatch {
  readonly #socket: Socket

  constructor({ namespace }: { readonly namespace: NetworkNamespace }) {
    this.#socket = Socket.frames(namespace, 'eth0')
  }

  /** Whether a frame that ends in `tail` comes. */
  sees(tail: Buffer, { expected }: { readonly expected: boolean }): boolean {
    const deadline = performance.now() + (expected ? EXPECTED_MS_MAX : QUIET_MS)
    do {
      pollSockets([{ socket: this.#socket, wants: 'read' }], 10)
      if (this.#socket.receiveAll().some(({ data }) => data.subarray(-tail.length).equals(tail))) return true
    } while (performance.now() < deadline)
    return false
  }

  close(): void {
    this.#socket.close()
  }
}

/** Puts frames on a device as they are. */
export function sendFrames(
  namespace: NetworkNamespace,
  { device, frames }: { readonly device: string; readonly frames: readonly Buffer[] },
): void {
  const socket = Socket.frames(namespace, device)
  for (const frame of frames) {
    const sent = socket.send(frame)
    if (sent !== frame.length) throw new Error(`Cannot send a frame of ${frame.length} bytes: ${sent}`)
  }
  socket.close()
}
