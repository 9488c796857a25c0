import type { Clock } from '@centaurus/base'
import type { EtcdChannel } from './etcd-channel.ts'
import type { KeySpace } from './key-space.ts'
import { decodeWatch, encodeWatchCreate, endOfPrefix, METHODS } from './messages.ts'

const TIMEOUT_MS = 5_000

/**
 * The oldest revision that etcd can read; 0 when it does not say. Its answer to a read does not tell, but its answer to a watch does:
 * this asks for one from the start. Takes up to 100 ms.
 */
export async function findCompactedRevision(deps: {
  readonly channel: EtcdChannel
  readonly keys: KeySpace
  readonly clock: Clock
}): Promise<number> {
  const { channel, keys, clock } = deps
  const session = await channel.session(clock.monotonicMs() + TIMEOUT_MS)
  return new Promise((resolve) => {
    let compacted = 0
    const timer = clock.setTimer(TIMEOUT_MS, () => stream.close())
    const stream = session.stream(METHODS.watch, {
      onMessage: (message) => {
        const answer = decodeWatch(message, 0)
        if (answer.created) return
        compacted = answer.compactRevision
        stream.close()
      },
      onEnd: () => {
        timer.cancel()
        resolve(compacted)
      },
    })
    // The slots' keys: few, in case nothing was compacted.
    const range = { key: keys.slots, end: endOfPrefix(keys.slots) }
    stream.send(encodeWatchCreate({ ...range, id: 1, startRevision: 1, withPrevious: false }))
  })
}
