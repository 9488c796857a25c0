import { statfsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { assert } from '@centaurus/base'
import { StoreClosedError, StoreFullError } from '../store.ts'
import type { WriterAnswer, WriteRequest } from './writer-protocol.ts'

/** The writer thread holds a batch at a time: a small young generation keeps its memory low. */
const WORKER_YOUNG_MEGABYTES = 4

/** Less free space than this, beside the batch, and a short write means a full disk. LMDB reports both as EIO. */
const FULL_DISK_SLACK_BYTES = 16 * 2 ** 20

// Source: errno(3) of Linux, and lmdb.h.
const FULL_CODES: readonly number[] = [27 /* EFBIG */, 28 /* ENOSPC */, 122 /* EDQUOT */, -30792 /* MDB_MAP_FULL */]

/** The writer thread, seen from the store's. */
export class Writer {
  readonly #file: string
  readonly #worker: Worker
  #waiting: { resolve(): void; reject(error: Error): void; readonly bytes: number } | undefined
  #failure: Error | undefined

  /** Resolves when the thread has the file open. */
  static async start(file: string): Promise<Writer> {
    const writer = new Writer(file)
    await writer.#nextAnswer(0)
    writer.#worker.unref()
    return writer
  }

  private constructor(file: string) {
    this.#file = file
    this.#worker = new Worker(new URL('./writer-worker.ts', import.meta.url), {
      name: 'store-writer',
      workerData: { file },
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: WORKER_YOUNG_MEGABYTES },
    })
    this.#worker.on('message', (answer: WriterAnswer) => this.#onAnswer(answer))
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new Error('the writer thread ended')))
  }

  /**
   * Writes one transaction; resolves when it is on disk. Rejects with {@link StoreFullError} when nothing was written for want of
   * room, and with {@link StoreClosedError} when the disk can't be trusted any more. One at a time.
   */
  async write(request: WriteRequest): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#worker.ref()
    this.#worker.postMessage({ type: 'write', request }, [request.puts.buffer as ArrayBuffer])
    await this.#nextAnswer(request.puts.byteLength).finally(() => this.#worker.unref())
  }

  /** Ends the thread after it has closed the file. */
  async close(): Promise<void> {
    this.#worker.ref()
    const ended = new Promise((resolve) => this.#worker.once('exit', resolve))
    this.#failure ??= new StoreClosedError('The store is closed')
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
    this.#worker.postMessage({ type: 'close' })
    await ended
  }

  #nextAnswer(bytes: number): Promise<void> {
    assert(this.#waiting === undefined, 'one write at a time')
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, bytes }
    })
  }

  #onAnswer(answer: WriterAnswer): void {
    const waiting = this.#waiting
    if (answer.type === 'failed') {
      const cause = new Error(answer.message)
      if (!this.#isFull(answer.code, waiting?.bytes ?? 0)) return this.#fail(cause)
      this.#waiting = undefined
      const message = `Cannot write to ${this.#file}: its disk is full, free some space and try again`
      return waiting?.reject(new StoreFullError(message, { cause }))
    }
    this.#waiting = undefined
    waiting?.resolve()
  }

  /** A write or flush that failed for another reason: what the disk holds is unknown, so nothing more is written. */
  #fail(cause: Error): void {
    this.#failure ??= new StoreClosedError(
      `Cannot write to ${this.#file}: ${cause.message}; the store is closed, check the disk and start again`,
      { cause },
    )
    this.#waiting?.reject(this.#failure)
    this.#waiting = undefined
  }

  #isFull(code: number | undefined, bytes: number): boolean {
    if (code !== undefined && FULL_CODES.includes(code)) return true
    const disk = statfsSync(this.#file)
    return disk.bavail * disk.bsize < bytes * 4 + FULL_DISK_SLACK_BYTES
  }
}
