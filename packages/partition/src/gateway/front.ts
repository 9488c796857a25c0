import { openSecureServer, type ConnectionFacts, type Listener, type ListenerOptions } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import { Http1FrontRequest, Http2FrontRequest, type FrontRequest, type Peer } from './front-request.ts'
import { DRAIN_MS, SESSION_MEMORY_MB_MAX, STREAM_WINDOW_BYTES, STREAMS_PER_CLIENT_MAX } from './limits.ts'

export interface FrontDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Takes each request; never throws. */
  readonly handle: (request: FrontRequest) => void
}

/** A gateway's listener: believes certificates, and ends, as an API server's. Throws when the port can't be had. */
export function openFront(options: ListenerOptions, { handle, ...deps }: FrontDeps): Promise<Listener> {
  return openSecureServer(options, {
    ...deps,
    graceMs: DRAIN_MS,
    http2: {
      maxSessionMemory: SESSION_MEMORY_MB_MAX,
      settings: { maxConcurrentStreams: STREAMS_PER_CLIENT_MAX, initialWindowSize: STREAM_WINDOW_BYTES },
    },
    onHttp1({ request, response, upgrade }, facts) {
      const taken = upgrade && {
        head: upgrade.head,
        take: () => {
          response.detachSocket(upgrade.socket)
          return upgrade.socket
        },
      }
      handle(new Http1FrontRequest({ request, response }, peerOf(facts), taken))
    },
    onHttp2: (stream, headers, facts) => handle(new Http2FrontRequest(stream, headers, peerOf(facts))),
  })
}

function peerOf({ remoteAddress, clientCertificate }: ConnectionFacts): Peer {
  return { address: remoteAddress, certificate: clientCertificate }
}
