/** A copy without members that are undefined, so that it looks as if it had been decoded from JSON. */
export function dropAbsent<T extends object>(object: T): T {
  const copy = { ...object }
  for (const key of Object.keys(copy) as (keyof T)[]) if (copy[key] === undefined) delete copy[key]
  return copy
}
