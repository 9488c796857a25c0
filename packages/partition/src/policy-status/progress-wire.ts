import { badRequest, isRecord } from '@centaurus/api'
import { decodeText } from '@centaurus/base'
import { POLICY_KINDS, type LocalProgress, type PolicyKind, type TenantProgress } from './read-progress.ts'

/** Where a partition tells other partitions how far their tenants' policies are on its nodes: `POST` with a `tenant`. */
export const PROGRESS_PATH = '/partition/v1/policies'
export const PROGRESS_BODY_BYTES_MAX = 1024

/** Reads a request: the tenant. Throws BadRequest. */
export function parseProgressRequest(body: Uint8Array): string {
  const tenant = /^\{"tenant":"([-a-z0-9]+)"\}$/.exec(decodeText(body))?.[1]
  if (tenant === undefined) throw badRequest('the body must be {"tenant":"NAME"}')
  return tenant
}

/** Reads an answer; undefined when it is none. */
export function parseProgress(value: unknown): TenantProgress | undefined {
  if (!isRecord(value) || !isNames(value['hosts']) || !isRecord(value['policies'])) return undefined
  const policies: Partial<Record<PolicyKind, Record<string, LocalProgress>>> = {}
  for (const kind of Object.keys(POLICY_KINDS) as PolicyKind[]) {
    const found = value['policies'][kind]
    if (!isRecord(found) || !Object.values(found).every(isProgress)) return undefined
    policies[kind] = found as Record<string, LocalProgress>
  }
  return { hosts: value['hosts'], policies: policies as Record<PolicyKind, Record<string, LocalProgress>> }
}

function isProgress(value: unknown): boolean {
  if (!isRecord(value) || !isNames(value['waiting'])) return false
  const { revision, applied, slowestMs } = value
  return (
    typeof revision === 'number' && typeof applied === 'number' && ['number', 'undefined'].includes(typeof slowestMs)
  )
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}
