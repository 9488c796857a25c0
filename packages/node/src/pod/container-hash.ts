import type { Container } from '@centaurus/api/core/v1'

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** A short hash of what restarts a running container when it changes: its name and image. Source: kubelet HashContainer, v1.37 (fields, not bytes). */
export function hashContainer(container: Container): string {
  let hash = FNV_OFFSET
  for (const byte of Buffer.from(`${container.name}\0${container.image ?? ''}`))
    hash = Math.imul(hash ^ byte, FNV_PRIME) >>> 0
  return hash.toString(16)
}
