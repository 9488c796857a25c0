/**
 * The writer thread: runs each batch as one synchronous LMDB transaction, so that the store's own thread never waits for the disk.
 * Not lmdb's asynchronous writes: they are as fast, but a failed commit (disk full) also rejects promises nobody can reach,
 * which ends the process (measured with lmdb 3.5.6).
 */
import { parentPort, workerData } from 'node:worker_threads'
import { openDatabase, type Database } from './database.ts'
import { RECORD_KEY_BYTES } from './record.ts'
import { PUT_HEADER_BYTES, type WriterAnswer, type WriterMessage, type WriteRequest } from './writer-protocol.ts'

const database = openDatabase((workerData as { readonly file: string }).file)

parentPort!.on('message', (message: WriterMessage) => {
  if (message.type === 'write') return answer(write(database, message.request))
  void database.close().then(() => parentPort!.close())
})
answer({ type: 'ready' })

function answer(message: WriterAnswer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
  parentPort!.postMessage(message)
}

function write(into: Database, request: WriteRequest): WriterAnswer {
  try {
    into.transactionSync(() => {
      putRecords(into, asBuffer(request.puts))
      deleteRecords(into, asBuffer(request.deletes))
    })
    return { type: 'written' }
  } catch (error) {
    const code = error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
    return { type: 'failed', message: error instanceof Error ? error.message : String(error), code }
  }
}

function putRecords(into: Database, puts: Buffer): void {
  for (let at = 0; at < puts.byteLength;) {
    const start = at + PUT_HEADER_BYTES
    const end = start + puts.readUInt32LE(at + RECORD_KEY_BYTES)
    into.putSync(puts.subarray(at, at + RECORD_KEY_BYTES), puts.subarray(start, end))
    at = end
  }
}

function deleteRecords(from: Database, deletes: Buffer): void {
  for (let at = 0; at < deletes.byteLength; at += RECORD_KEY_BYTES) {
    from.removeSync(deletes.subarray(at, at + RECORD_KEY_BYTES))
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
