/** The few messages of etcd's gRPC that an API server sends, written byte by byte. Field numbers: etcd's rpc.proto, v3.4. */
import type { LoadRequest } from './http2-load.ts'

type Field = readonly [number: number, value: Uint8Array | string | number]

/** What an API server does to create an object: put the key unless it exists. */
export function createRequest(key: string, value: Uint8Array): LoadRequest {
  const isAbsent = message([2, 2], [3, key], [6, 0]) // result EQUAL is 0 and left out; target MOD; mod_revision 0
  const put = message([2, message([1, key], [2, value])])
  return call('KV/Txn', message([1, isAbsent], [2, put]))
}

export function putRequest(key: string, value: Uint8Array): LoadRequest {
  return call('KV/Put', message([1, key], [2, value]))
}

export function getRequest(key: string): LoadRequest {
  return call('KV/Range', message([1, key]))
}

export function listRequest(prefix: string): LoadRequest {
  return call('KV/Range', message([1, prefix], [2, endOf(prefix)]))
}

export function watchRequest(prefix: string): LoadRequest {
  return call('Watch/Watch', message([1, message([1, prefix], [2, endOf(prefix)])]))
}

/** The first key after all that start with `prefix`. */
function endOf(prefix: string): Uint8Array {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return end
}

function call(method: string, body: Buffer): LoadRequest {
  const frame = Buffer.allocUnsafe(5 + body.length)
  frame[0] = 0 // not compressed
  frame.writeUInt32BE(body.length, 1)
  body.copy(frame, 5)
  const headers = {
    ':method': 'POST',
    ':path': `/etcdserverpb.${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  }
  return { headers, body: frame }
}

function message(...fields: readonly Field[]): Buffer {
  const parts = fields.flatMap(([number, value]) => {
    if (typeof value === 'number') return [Buffer.from([number << 3, ...varint(value)])]
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    return [Buffer.from([(number << 3) | 2, ...varint(bytes.byteLength)]), bytes]
  })
  return Buffer.concat(parts)
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  return [...bytes, rest]
}
