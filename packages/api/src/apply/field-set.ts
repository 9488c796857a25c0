/**
 * Sets of fields, in the very form in which `managedFields` carries them (FieldsV1), so that reading and writing cost nothing:
 * a member is `{}`, or has a `.` beside its children; a node with children only is not a member itself. Sets are immutable and
 * share what they can. The order of elements carries no meaning.
 * Source: meta/v1 FieldsV1; sigs.k8s.io/structured-merge-diff/v6 fieldpath.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet
}

/** A set under construction. */
export interface MutableFieldSet {
  [element: string]: FieldSet
}

export const EMPTY_SET: FieldSet = Object.freeze({})
/** A field without children that is in the set. */
export const MEMBER: FieldSet = Object.freeze({})
export const SELF = '.'

export function isEmptySet(set: FieldSet): boolean {
  for (const _element in set) return false
  return true
}

/** True when the node itself is in the set, whatever its children. */
export function isMember(node: FieldSet): boolean {
  return SELF in node || isEmptySet(node)
}

/** Everything that is in `a` or in `b`. */
export function unionSets(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a
  if (isEmptySet(a)) return b
  return unionChildren(a, b)
}

function unionChildren(a: FieldSet, b: FieldSet): FieldSet {
  let result: MutableFieldSet | undefined
  for (const element in b) {
    const left = Object.hasOwn(a, element) ? a[element] : undefined
    const merged = left === undefined ? b[element]! : element === SELF ? left : unionNodes(left, b[element]!)
    if (merged === left) continue
    result ??= { ...a }
    result[element] = merged
  }
  return result ?? a
}

function unionNodes(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a
  const aLeaf = isEmptySet(a)
  const bLeaf = isEmptySet(b)
  if (aLeaf) return bLeaf || SELF in b ? b : { [SELF]: MEMBER, ...b }
  if (bLeaf) return SELF in a ? a : { [SELF]: MEMBER, ...a }
  return unionChildren(a, b)
}

/** What is in `a` and not in `b`. That a node is in `b` says nothing about its children. */
export function subtractSets(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a) || isEmptySet(b)) return a
  let result: MutableFieldSet | undefined
  for (const element in b) {
    if (element === SELF || !Object.hasOwn(a, element)) continue
    const left = a[element]!
    const rest = subtractNodes(left, b[element]!)
    if (rest === left) continue
    result ??= { ...a }
    if (rest === undefined) delete result[element]
    else result[element] = rest
  }
  return result ?? a
}

function subtractNodes(a: FieldSet, b: FieldSet): FieldSet | undefined {
  const staysMember = isMember(a) && !isMember(b)
  const children = subtractSets(a, b)
  const hasSelf = SELF in children
  if (staysMember) {
    if (hasSelf || !isEmptySet(a)) return hasOnlySelf(children) ? MEMBER : children
    return a
  }
  if (!hasSelf) return isEmptySet(children) ? undefined : children
  const { [SELF]: _self, ...rest } = children
  return isEmptySet(rest) ? undefined : rest
}

function hasOnlySelf(node: FieldSet): boolean {
  for (const element in node) if (element !== SELF) return false
  return true
}

/** What is in both. */
export function intersectSets(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a
  const result: MutableFieldSet = {}
  for (const element in a) {
    if (element === SELF || !Object.hasOwn(b, element)) continue
    const node = intersectNodes(a[element]!, b[element]!)
    if (node !== undefined) result[element] = node
  }
  return result
}

function intersectNodes(a: FieldSet, b: FieldSet): FieldSet | undefined {
  const children = intersectSets(a, b) as MutableFieldSet
  const isBoth = isMember(a) && isMember(b)
  if (isEmptySet(children)) return isBoth ? MEMBER : undefined
  const withoutSelf = a === b ? children : { ...children }
  return isBoth && !(SELF in withoutSelf) ? { [SELF]: MEMBER, ...withoutSelf } : withoutSelf
}

/** `set` without the members of `gone` and all that is below them; for fields that a request may not set. */
export function subtractSubtrees(set: FieldSet, gone: FieldSet): FieldSet {
  let result: MutableFieldSet | undefined
  for (const element in gone) {
    if (element === SELF || !Object.hasOwn(set, element)) continue
    const node = set[element]!
    const rest = isMember(gone[element]!) ? undefined : subtractSubtrees(node, gone[element]!)
    if (rest === node) continue
    result ??= { ...set }
    if (rest === undefined || (isEmptySet(rest) && !isMember(node))) delete result[element]
    else result[element] = rest
  }
  return result ?? set
}

/** Calls `visit` with the path of every member, parents first. */
export function forEachMember(set: FieldSet, visit: (path: readonly string[]) => void): void {
  const walk = (node: FieldSet, path: readonly string[]): void => {
    for (const element of Object.keys(node).toSorted()) {
      if (element === SELF) continue
      const child = node[element]!
      const childPath = [...path, element]
      if (isMember(child)) visit(childPath)
      walk(child, childPath)
    }
  }
  walk(set, [])
}

/** True when the path is a member. */
export function hasPath(set: FieldSet, path: readonly string[]): boolean {
  let node: FieldSet = set
  for (const element of path) {
    if (!Object.hasOwn(node, element)) return false
    node = node[element]!
  }
  return path.length > 0 && isMember(node)
}

/** A set with one member, made of field names. */
export function setOfPaths(paths: readonly (readonly string[])[]): FieldSet {
  let set: FieldSet = EMPTY_SET
  for (const path of paths) {
    let node: FieldSet = MEMBER
    for (const name of path.toReversed()) node = { [`f:${name}`]: node }
    set = unionSets(set, node)
  }
  return set
}

/** `.spec.containers[name="web"].image`, as messages print it. */
export function formatFieldPath(path: readonly string[]): string {
  return path.map(formatElement).join('')
}

function formatElement(element: string): string {
  const body = element.slice(2)
  switch (element[0]) {
    case 'f':
      return `.${body}`
    case 'k':
      return `[${Object.entries(JSON.parse(body) as Record<string, unknown>)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`
    case 'v':
      return `[=${body}]`
    default:
      return `[${body}]`
  }
}
