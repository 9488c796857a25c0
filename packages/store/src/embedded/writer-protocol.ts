/** What the store's thread and its writer thread say to each other. One write is under way at a time. */

/** A write transaction: all of it or nothing, and on disk when it is answered. */
export interface WriteRequest {
  /** Records one after another: key (9 bytes), length (4, little-endian), bytes. Moved to the writer, not copied. */
  readonly puts: Uint8Array
  /** Keys of records to delete, one after another, 9 bytes each. */
  readonly deletes: Uint8Array
}

export type WriterMessage = { readonly type: 'write'; readonly request: WriteRequest } | { readonly type: 'close' }

export type WriterAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'written' }
  /** Nothing was written. `code`: an errno, or one of LMDB's. */
  | { readonly type: 'failed'; readonly message: string; readonly code: number | undefined }

/** Bytes of a record in {@link WriteRequest.puts} beside its contents. */
export const PUT_HEADER_BYTES = 13
