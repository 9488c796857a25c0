import type { KeyValue } from '../store.ts'

const NO_VALUE = new Uint8Array(0)

/** One change of one key: a link in the key's history, newest first. A million of these live in memory: keep it lean. */
export class Version {
  readonly key: string
  readonly modRevision: number
  /** 0 in a tombstone. */
  readonly createRevision: number
  /** 0 marks a tombstone: the key was deleted at `modRevision`. */
  readonly version: number
  /** Index of the change in its commit; −1 when it is the only one. */
  readonly slot: number
  /** Absent when the engine keeps values elsewhere, and in tombstones. */
  value: Uint8Array | undefined
  /** The version that this one replaced; absent when there was none, or it was compacted. */
  previous: Version | undefined

  constructor(fields: VersionFields) {
    this.key = fields.key
    this.modRevision = fields.modRevision
    this.createRevision = fields.createRevision
    this.version = fields.version
    this.slot = fields.slot
    this.value = fields.value
    this.previous = fields.previous
  }
}

export interface VersionFields {
  readonly key: string
  readonly modRevision: number
  readonly createRevision: number
  readonly version: number
  readonly slot: number
  readonly value: Uint8Array | undefined
  readonly previous: Version | undefined
}

/** How an engine finds a version's bytes. Called for puts alone, never for tombstones. */
export type ReadValue = (version: Version) => Uint8Array

/** True when the key does not exist after this change. */
export function isTombstone(version: Version): boolean {
  return version.version === 0
}

/** The newest version at or before `revision` in the chain that starts at `head`, tombstones included. */
export function versionAt(head: Version | undefined, revision: number): Version | undefined {
  let version = head
  while (version !== undefined && version.modRevision > revision) version = version.previous
  return version
}

/** The newest put at or before `revision`; `undefined` when the key did not exist then. */
export function liveAt(head: Version | undefined, revision: number): Version | undefined {
  const version = versionAt(head, revision)
  return version === undefined || isTombstone(version) ? undefined : version
}

/** The public shape, with its value read by `readValue`; without `readValue` the value is empty. */
export function toKeyValue(version: Version, readValue?: ReadValue): KeyValue {
  return {
    key: version.key,
    value: readValue === undefined ? NO_VALUE : readValue(version),
    createRevision: version.createRevision,
    modRevision: version.modRevision,
    version: version.version,
  }
}
