export interface ImageReference {
  readonly registry: string
  /** With registry and tag or digest: `docker.io/library/busybox:latest`. */
  readonly full: string
}

const REFERENCE =
  /^(?<name>[^:@\s]+(?::\d+(?=\/))?[^:@\s]*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>[a-z0-9]+:[0-9a-f]{32,}))?$/
const DEFAULT_REGISTRY = 'docker.io'

/** Reads an image name the way Docker completes it; undefined when it is none. Source: distribution/reference ParseNormalizedNamed. */
export function parseImageReference(image: string): ImageReference | undefined {
  const groups = REFERENCE.exec(image)?.groups
  if (groups === undefined || groups['name'] !== groups['name']?.toLowerCase()) return undefined
  const parts = groups['name']!.split('/')
  if (parts.some((part) => part === '')) return undefined
  const hasRegistry = parts.length > 1 && (/[.:]/.test(parts[0]!) || parts[0] === 'localhost')
  const registry = hasRegistry ? parts.shift()! : DEFAULT_REGISTRY
  if (registry === DEFAULT_REGISTRY && parts.length === 1) parts.unshift('library')
  const digest = groups['digest']
  const tag = groups['tag'] ?? (digest === undefined ? 'latest' : undefined)
  return {
    registry,
    full: `${registry}/${parts.join('/')}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`,
  }
}
