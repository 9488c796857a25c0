/** Largest single watch event that is accepted. etcd's default request limit is 1.5 MiB; an object may hold somewhat more after conversion. */
const LINE_BYTES_MAX = 16 * 1024 * 1024

const NEWLINE = 0x0a

/**
 * Cuts a byte stream into lines at `\n` and hands each to `onLine`, without the newline; empty lines are dropped.
 * Throws `RangeError` when a line grows beyond `lineBytesMax`. A chunk that holds whole lines is not copied.
 */
export function createLineSplitter(
  onLine: (line: Uint8Array) => void,
  { lineBytesMax = LINE_BYTES_MAX }: { readonly lineBytesMax?: number } = {},
): (chunk: Uint8Array) => void {
  let parts: Uint8Array[] = []
  let partBytes = 0
  return (chunk) => {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end)
      start = end + 1
      const line = partBytes === 0 ? tail : join([...parts, tail], partBytes + tail.length)
      parts = []
      partBytes = 0
      if (line.length > 0) onLine(line)
    }
    if (start === chunk.length) return
    parts.push(chunk.subarray(start))
    partBytes += chunk.length - start
    if (partBytes > lineBytesMax) throw new RangeError(`Watch event is longer than ${lineBytesMax} bytes`)
  }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
