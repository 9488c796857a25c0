import { isRecord } from '@centaurus/api'

/** Members on the way into a value; `*` stands for each element of a list. */
export type Path = readonly string[]

/** `value` with what stands at `path` changed; shares with it everything that stays the same, and is it when nothing changes. */
export function changeAt(value: unknown, path: Path, change: (value: unknown) => unknown): unknown {
  const [member, ...rest] = path
  if (member === undefined) return change(value)
  if (member === '*') {
    return Array.isArray(value) ? mapChanged<unknown>(value, (element) => changeAt(element, rest, change)) : value
  }
  if (!isRecord(value) || value[member] === undefined) return value
  const changed = changeAt(value[member], rest, change)
  return changed === value[member] ? value : { ...value, [member]: changed }
}

/** Like `map`, but the same list when nothing changes. */
export function mapChanged<T>(list: readonly T[], change: (element: T) => T): readonly T[] {
  let copy: T[] | undefined
  for (const [i, element] of list.entries()) {
    const changed = change(element)
    if (changed === element) continue
    copy ??= [...list]
    copy[i] = changed
  }
  return copy ?? list
}
