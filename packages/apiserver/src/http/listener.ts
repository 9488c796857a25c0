import type { Clock, Logger } from '@centaurus/base'
import type { Exchange } from './exchange.ts'
import { Http1Exchange } from './http1-exchange.ts'
import { Http2Exchange } from './http2-exchange.ts'
import { SHUTDOWN_GRACE_MS, STREAMS_PER_CONNECTION_MAX } from './limits.ts'
import { openSecureServer, type Listener, type ListenerOptions } from './secure-server.ts'

export interface ListenerDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Takes each request; never throws. */
  readonly handle: (exchange: Exchange) => void
}

/** An API server's listener. Throws when the port can't be had. */
export function listen(options: ListenerOptions, { handle, ...deps }: ListenerDeps): Promise<Listener> {
  return openSecureServer(options, {
    ...deps,
    graceMs: SHUTDOWN_GRACE_MS,
    http2: { settings: { maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX } },
    onHttp1: ({ request, response, upgrade }, facts) => handle(new Http1Exchange(request, response, facts, upgrade)),
    onHttp2: (stream, headers, facts) => handle(new Http2Exchange(stream, headers, facts)),
  })
}
