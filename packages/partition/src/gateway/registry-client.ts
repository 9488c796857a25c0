import { expired, isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import type { Client, ClientWatch, ClientWatchOptions, ObjectList } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import type { GatewayTls } from './endpoint.ts'

export interface RegistryClientOptions {
  readonly endpoints: readonly string[]
  readonly tls: GatewayTls
  readonly userAgent: string
  /** Told after a resource was listed whole. */
  readonly onListed: (resource: string) => void
}

/** A reader at whichever partition answers. */
export interface RegistryClient extends Pick<Client, 'list' | 'watch'> {
  /** The API server that is read now. */
  readonly url: string
  /** Best first. The one in use stays in use until it fails. */
  setEndpoints(urls: readonly string[]): void
  /** Reads there from now on, as after a failure of the one in use. */
  moveTo(url: string): void
  close(): Promise<void>
}

/** How long a list may take before the next partition is asked. */
const LIST_TIMEOUT_MS = 10_000

/**
 * Lists and watches at one partition until that fails, then at the next. What another partition's resourceVersion means is nothing:
 * a watch that would go on elsewhere ends with Expired, so that its informer lists again.
 */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  let urls: readonly string[] = [...new Set(options.endpoints)]
  let url = urls[0] ?? ''
  let current = connect(url, options)
  /** By resource: the API server that its last list came from. */
  const listedAt = new Map<string, string>()
  const moveTo = (next: string): void => {
    void current.close()
    url = next
    current = connect(url, options)
  }
  const moveOn = (failed: Client): void => {
    if (failed !== current) return // another resource's reader was faster
    moveTo(urls[(urls.indexOf(url) + 1) % urls.length] ?? url)
  }
  return {
    get url() {
      return url
    },
    moveTo,
    async list(type, listOptions = {}) {
      const client = current
      listedAt.set(type.resource, url)
      try {
        const timeout = AbortSignal.timeout(LIST_TIMEOUT_MS)
        const { signal } = listOptions as { readonly signal?: AbortSignal | undefined }
        const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
        const list = await client.list(type, { ...listOptions, signal: either })
        checkHome(type, list)
        if (list.continue === undefined) options.onListed(type.resource)
        return list
      } catch (error) {
        if (!isStatus(error, 'Expired')) moveOn(client)
        throw error
      }
    },
    watch<T extends KubeObject>(type: ResourceType<T>, watchOptions: ClientWatchOptions<T>): ClientWatch {
      const client = current
      if (listedAt.get(type.resource) !== url) {
        queueMicrotask(() => watchOptions.onEnd(expired('The registry is read from another partition now')))
        return { close: () => {} }
      }
      return client.watch(type, {
        ...watchOptions,
        onEnd: (error) => {
          if (error !== undefined && !isStatus(error, 'Expired')) moveOn(client)
          watchOptions.onEnd(error)
        },
      })
    },
    setEndpoints(wanted) {
      urls = [...new Set(wanted)]
    },
    close: () => current.close(),
  }
}

/** A partition that has just joined has no copy of the registry yet: nothing must look deleted for that. */
function checkHome<T extends KubeObject>(type: ResourceType<T>, { items }: ObjectList<T>): void {
  if (type.resource !== partitions.resource) return
  const hasHome = (items as readonly unknown[] as readonly Partition[]).some(({ spec }) => spec.home === true)
  if (!hasHome) throw new Error('Cannot use an incomplete registry: it names no home partition')
}

function connect(server: string, { tls, userAgent }: RegistryClientOptions): Client {
  return createHttpClient({ server, ca: tls.ca, cert: tls.cert, key: tls.key, userAgent })
}
