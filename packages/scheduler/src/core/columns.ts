/** Typed arrays that grow by doubling: a value costs its bytes and no object. */
type Column = Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array | Int16Array

const LENGTH_MIN = 64

/** The column itself when it holds `length` values; else a larger copy, new places holding `fill`. */
export function grown<T extends Column>(column: T, length: number, fill = 0): T {
  if (length <= column.length) return column
  // every typed array is made from a length
  const Constructor = column.constructor as new (length: number) => T
  const larger = new Constructor(Math.max(length, column.length * 2, LENGTH_MIN))
  if (fill !== 0) larger.fill(fill)
  larger.set(column as never) // of the same type
  return larger
}
