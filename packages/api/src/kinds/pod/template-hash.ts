import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { safeEncode } from '../../meta/generate-name.ts'

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * Short name for a pod template, for the label `pod-template-hash` and the names of what is made from it. Equal templates give
 * equal hashes, whatever the order of their fields and however absent fields are written; `collisionCount` gives the next
 * one when two templates collide. The values differ from upstream's, which depend on the layout of Go structs.
 */
export function podTemplateHash(template: Readonly<PodTemplateSpec>, collisionCount?: number): string {
  let text = canonicalText(template)
  if (collisionCount !== undefined) text += `#${collisionCount}`
  return safeEncode(String(fnv1a(text)))
}

function fnv1a(text: string): number {
  let hash = FNV_OFFSET
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return hash >>> 0
}

function canonicalText(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (typeof value !== 'object') return JSON.stringify(value)
  const fields = Object.entries(value)
    .filter(([, item]) => item !== undefined && item !== null)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, item]) => `${JSON.stringify(key)}:${canonicalText(item)}`).join(',')}}`
}
