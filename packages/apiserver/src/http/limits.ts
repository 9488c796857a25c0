/** Longest request body. Source: apiserver's MaxRequestBodyBytes (3 MiB). Beyond: 413. */
export const REQUEST_BODY_BYTES_MAX = 3 * 1024 * 1024
/** Request line and headers together. Beyond: the protocol's own error (431, or a refused stream). */
export const REQUEST_HEADER_BYTES_MAX = 64 * 1024
/** Streams that one HTTP/2 connection may have open; a client opens another connection for more. */
export const STREAMS_PER_CONNECTION_MAX = 1_000
/** A connection without a request for this long is closed. */
export const IDLE_CONNECTION_MS = 5 * 60_000
/** TCP keep-alive probes start after this long without traffic, to notice a peer that vanished under a watch. */
export const KEEP_ALIVE_PROBE_MS = 30_000
/** How long open requests may go on after the server was told to close. */
export const SHUTDOWN_GRACE_MS = 2_000
/** `drained` resolves when at most so many bytes wait for the network. */
export const DRAINED_BYTES = 256 * 1024
