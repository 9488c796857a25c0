import { deepClone, deepEqual, defineMember, isRecord } from '../meta/values.ts'
import { badRequest, requestEntityTooLarge, StatusError } from '../status/status-error.ts'

/** Source: apiserver pkg/endpoints/handlers/patch.go maxJSONPatchOperations. */
export const JSON_PATCH_OPERATIONS_MAX = 10_000
/** Values that all `copy` operations of a patch may make together; else a short patch could double a document again and again. */
const COPIED_BYTES_MAX = 3 * 1024 * 1024

/** One operation of RFC 6902. */
export interface JsonPatchOperation {
  readonly op: string
  readonly path: string
  readonly from?: string | undefined
  readonly value?: unknown
}

/**
 * Checks a parsed `application/json-patch+json` body. Throws BadRequest, or RequestEntityTooLarge for too many operations.
 */
export function parseJsonPatch(patch: unknown): readonly JsonPatchOperation[] {
  if (!Array.isArray(patch)) {
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${describe(patch)} into Go value of type []handlers.jsonPatchOp`,
    )
  }
  if (patch.length > JSON_PATCH_OPERATIONS_MAX) {
    const text = `The allowed maximum operations in a JSON patch is ${JSON_PATCH_OPERATIONS_MAX}, got ${patch.length}`
    throw requestEntityTooLarge(text)
  }
  for (const operation of patch as unknown[]) {
    if (isRecord(operation)) continue
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${describe(operation)} into Go value of type handlers.jsonPatchOp`,
    )
  }
  return patch as JsonPatchOperation[]
}

/**
 * Applies RFC 6902 operations to a copy; `document` is not changed, and what the patch does not touch is shared with it.
 * As upstream's library: negative indexes count from the end, and `replace` may add a member to an object that exists.
 * Throws Invalid (422) when an operation does not apply; its `details.causes` say which, which upstream does not.
 * Source: gopkg.in/evanphx/json-patch.v4 as called by apiserver handlers/patch.go, v0.37.
 */
export function applyJsonPatch(document: unknown, operations: readonly JsonPatchOperation[]): unknown {
  const session: PatchSession = { root: document, owned: new WeakSet(), copiedBytes: 0 }
  for (const operation of operations) {
    try {
      applyOperation(session, operation)
    } catch (error) {
      if (error instanceof PatchFailure) throw doesNotApply(error.message)
      throw error
    }
  }
  return session.root
}

interface PatchSession {
  root: unknown
  /** Containers that this patch made: they may be changed in place. */
  readonly owned: WeakSet<object>
  copiedBytes: number
}

class PatchFailure extends Error {
  override readonly name = 'PatchFailure'
}

function doesNotApply(why: string): StatusError {
  const message = 'the server rejected our request due to an error in our request'
  return new StatusError({ reason: 'Invalid', message, details: { causes: [{ message: why }] } })
}

function applyOperation(session: PatchSession, operation: JsonPatchOperation): void {
  const { op } = operation
  if (typeof operation.path !== 'string') throw new PatchFailure(`${op} operation failed to decode path: missing value`)
  const path = parsePointer(operation.path)
  switch (op) {
    case 'add':
      return add(session, path, deepClone(operation.value ?? null))
    case 'remove':
      removeAt(session, path, 'remove')
      return
    case 'replace':
      return replace(session, path, deepClone(operation.value ?? null))
    case 'move':
      return add(session, path, removeAt(session, fromPointer(operation), 'move'))
    case 'copy':
      return copy(session, path, fromPointer(operation))
    case 'test':
      return test(session, path, operation.value ?? null)
    default:
      throw new PatchFailure(`Unexpected kind: ${op}`)
  }
}

function fromPointer(operation: JsonPatchOperation): readonly string[] {
  if (typeof operation.from === 'string') return parsePointer(operation.from)
  throw new PatchFailure(
    `${operation.op} operation failed to decode from: operation, missing from field: missing value`,
  )
}

function parsePointer(text: string): readonly string[] {
  if (text === '') return []
  return text
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

const formatPointer = (path: readonly string[]): string =>
  path.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

function add(session: PatchSession, path: readonly string[], value: unknown): void {
  if (path.length === 0) {
    session.root = value
    return
  }
  const parent = openParent(session, path, 'add')
  const key = path.at(-1)!
  if (!Array.isArray(parent)) return setMember(parent, key, value)
  if (key === '-') parent.push(value)
  else parent.splice(listIndex(parent, key, { path, max: parent.length }), 0, value)
}

function replace(session: PatchSession, path: readonly string[], value: unknown): void {
  if (path.length === 0) {
    session.root = value
    return
  }
  const parent = openParent(session, path, 'replace')
  const key = path.at(-1)!
  if (Array.isArray(parent)) parent[listIndex(parent, key, { path, max: parent.length - 1 })] = value
  else setMember(parent, key, value)
}

function removeAt(session: PatchSession, path: readonly string[], op: string): unknown {
  if (path.length === 0)
    throw new PatchFailure(`${op} operation does not apply: doc is missing path: "": missing value`)
  const parent = openParent(session, path, op)
  const key = path.at(-1)!
  if (Array.isArray(parent)) return parent.splice(listIndex(parent, key, { path, max: parent.length - 1 }), 1)[0]
  if (!Object.hasOwn(parent, key)) {
    throw new PatchFailure(
      `error in ${op} for path: '${formatPointer(path)}': Unable to remove nonexistent key: ${key}: missing value`,
    )
  }
  const value = parent[key]
  delete parent[key]
  return value
}

function copy(session: PatchSession, path: readonly string[], from: readonly string[]): void {
  const value = read(session.root, from)
  if (value === undefined) {
    throw new PatchFailure(
      `copy operation does not apply: doc is missing from path: ${formatPointer(from)}: missing value`,
    )
  }
  session.copiedBytes += JSON.stringify(value).length
  if (session.copiedBytes > COPIED_BYTES_MAX) {
    throw new PatchFailure(
      `Unable to complete the copy, the accumulated size increase of copy is ${session.copiedBytes}, exceeding the limit ${COPIED_BYTES_MAX}`,
    )
  }
  add(session, path, deepClone(value))
}

function test(session: PatchSession, path: readonly string[], expected: unknown): void {
  const actual = read(session.root, path)
  if (actual === undefined ? expected === null : deepEqual(actual, expected)) return
  throw new PatchFailure(`testing value ${formatPointer(path)} failed: test failed`)
}

function read(root: unknown, path: readonly string[]): unknown {
  let at = root
  for (const key of path) {
    if (Array.isArray(at)) at = (at as unknown[])[wrapIndex(at, key)]
    else if (isRecord(at) && Object.hasOwn(at, key)) at = at[key]
    else return undefined
  }
  return at
}

/** The container that holds the last token, copied along the way so that it may be changed. */
function openParent(session: PatchSession, path: readonly string[], op: string): unknown[] | Record<string, unknown> {
  const missing = (): PatchFailure =>
    new PatchFailure(`${op} operation does not apply: doc is missing path: "${formatPointer(path)}": missing value`)
  session.root = own(session, session.root)
  let at = session.root
  for (const key of path.slice(0, -1)) {
    if (Array.isArray(at)) {
      const index = wrapIndex(at, key)
      if (at[index] === undefined) throw missing()
      at = at[index] = own(session, at[index])
    } else if (isRecord(at) && Object.hasOwn(at, key)) {
      const child = own(session, at[key])
      setMember(at, key, child)
      at = child
    } else throw missing()
  }
  if (Array.isArray(at) || isRecord(at)) return at
  throw missing()
}

function own(session: PatchSession, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || session.owned.has(value)) return value
  const copied = Array.isArray(value) ? [...(value as unknown[])] : { ...value }
  session.owned.add(copied)
  return copied
}

function setMember(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') defineMember(target, key, value)
  else target[key] = value
}

/** -1 counts from the end; NaN when the token is no number. */
function wrapIndex(list: readonly unknown[], key: string): number {
  const index = /^[+-]?[0-9]{1,9}$/.test(key) ? Number(key) : Number.NaN
  return index < 0 ? index + list.length : index
}

function listIndex(
  list: readonly unknown[],
  key: string,
  { path, max }: { path: readonly string[]; max: number },
): number {
  const index = Number.isNaN(wrapIndex(list, key)) ? undefined : Number(key)
  const pointer = formatPointer(path)
  if (index === undefined) {
    throw new PatchFailure(`error in add for path: '${pointer}': value was not a proper array index: '${key}'`)
  }
  const wrapped = index < 0 ? index + max + 1 : index
  if (wrapped >= 0 && wrapped <= max) return wrapped
  throw new PatchFailure(
    `error in add for path: '${pointer}': Unable to access invalid index: ${index}: invalid index referenced`,
  )
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return value === null ? 'null' : typeof value
}
