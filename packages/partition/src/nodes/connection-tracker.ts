import type { KubeObject, ResourceType } from '@centaurus/api'
import type { Clock, Timer } from '@centaurus/base'
import type { Client, ClientWatch, ClientWatchOptions } from '@centaurus/client'

/** A watch that is open for this long has a connection: one that can't be made, or is cut, ends sooner (see the limits of partition links). */
const CONNECTED_AFTER_MS = 6_000

/** Tells whether what an informer over a client knows is what the server has now. */
export interface ConnectionTracker {
  readonly connected: boolean
  /** The client to give to the informer. */
  readonly client: Pick<Client, 'list' | 'watch'>
}

/** Watches the one watch that an informer keeps open through the client. */
export function trackConnection(client: Client, clock: Clock): ConnectionTracker {
  let connected = false
  let timer: Timer | undefined
  const up = (): void => {
    connected = true
    timer?.cancel()
  }
  const down = (): void => {
    connected = false
    timer?.cancel()
  }
  const watch = <T extends KubeObject>(type: ResourceType<T>, options: ClientWatchOptions<T>): ClientWatch => {
    timer?.cancel()
    timer = clock.setTimer(CONNECTED_AFTER_MS, up)
    return client.watch(type, {
      ...options,
      onEvent(event, object) {
        up()
        options.onEvent(event, object)
      },
      onBookmark(resourceVersion) {
        up()
        options.onBookmark?.(resourceVersion)
      },
      onEnd(error) {
        down()
        options.onEnd(error)
      },
    })
  }
  const list: Client['list'] = async (type, options) => {
    try {
      const page = await client.list(type, options)
      if (page.continue === undefined) up()
      return page
    } catch (error) {
      down()
      throw error
    }
  }
  return {
    client: { watch, list },
    get connected() {
      return connected
    },
  }
}
