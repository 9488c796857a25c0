/** Streams that one client's HTTP/2 connection may have open. */
export const STREAMS_PER_CLIENT_MAX = 1_000
/** How long open requests may go on after the gateway was told to stop; watches are cut then, and resume elsewhere. */
export const DRAIN_MS = 5_000
/** What one stream may hold of a body whose receiver is slow, each way. */
export const STREAM_WINDOW_BYTES = 256 * 1024
/** Of all streams of a connection: more than all of them can hold, so that slow receivers don't hold up the others. */
export const SESSION_WINDOW_BYTES = 512 * 1024 * 1024
/** Above this, Node refuses new streams of a connection. Paused streams count; Node's default of 10 MB is 40 of them. */
export const SESSION_MEMORY_MB_MAX = 512
/** Streams on one connection to a partition; more open another. */
export const STREAMS_PER_SESSION_MAX = 500
/** Connections to one API server; beyond, requests are refused with 429. 64 × 500 watches. */
export const SESSIONS_PER_ENDPOINT_MAX = 64
/** How long a request waits for a connection to its partition. */
export const CONNECT_TIMEOUT_MS = 3_000
/** After a failed connection an API server is left alone for this long, doubled up to the maximum. */
export const ENDPOINT_BACKOFF_MS = 250
export const ENDPOINT_BACKOFF_MAX_MS = 4_000
/** A connection that does not answer a ping in time is given up, with what it carried. */
export const PING_INTERVAL_MS = 5_000
/** After this long it gets no new requests: an API server that was cut off without a word would swallow them. */
export const PING_LATE_MS = 5_000
export const PING_TIMEOUT_MS = 15_000
/** How often a request that changes nothing is sent, at most. */
export const READ_ATTEMPTS_MAX = 3
/** What a client is told to wait before it asks again for a partition that can't be reached. */
export const RETRY_AFTER_SECONDS = 1
/** Whole bodies that the gateway reads itself: to place a new object, or to delete collections. Source: the API server's own limit. */
export const BODY_BYTES_MAX = 3 * 1024 * 1024
/** Answers that are merged in memory (protobuf, metrics), each partition's. */
export const MERGED_BODY_BYTES_MAX = 256 * 1024 * 1024
/** One object or event of a merged answer: beyond what a store takes. */
export const ITEM_BYTES_MAX = 16 * 1024 * 1024
/** Callers whose certificates or tokens are remembered; the one seen first goes first. About 1 KB each. */
export const CALLERS_MAX = 20_000
/** Objects of which the gateway remembers the partition; about 150 bytes each. */
export const LOCATIONS_MAX = 200_000
/** A merged answer is written in pieces of about this size. */
export const WRITE_BYTES = 64 * 1024
