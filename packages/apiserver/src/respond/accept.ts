import { notAcceptable } from '@centaurus/api'

export type MediaType = 'json' | 'yaml' | 'protobuf'

/** How an answer is to be written. */
export interface Representation {
  readonly media: MediaType
  /** `''`: the objects themselves. */
  readonly as: '' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList'
  /** Version of meta.k8s.io for `as`. */
  readonly asVersion: string
  readonly pretty: boolean
}

export const CONTENT_TYPES: Readonly<Record<MediaType, string>> = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
}

const MEDIA_BY_TYPE: ReadonlyMap<string, MediaType> = new Map([
  ['application/json', 'json'],
  ['*/*', 'json'],
  ['application/*', 'json'],
  ['application/yaml', 'yaml'],
  ['application/vnd.kubernetes.protobuf', 'protobuf'],
])
const TRANSFORMS = new Set(['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList'])
const META_VERSIONS = new Set(['v1', 'v1beta1'])
/** Distinct Accept headers that are remembered; clients send a handful. */
const REMEMBERED_MAX = 256

export const PLAIN_JSON: Representation = { media: 'json', as: '', asVersion: '', pretty: false }

const remembered = new Map<string, Representation>()

/**
 * Chooses what to send for an `Accept` header. Among what the client likes equally well JSON comes first, because that is what the
 * cache holds: it is sent without any work. Throws NotAcceptable.
 */
export function negotiate(accept: string | undefined, options: { readonly pretty: boolean }): Representation {
  if (accept === undefined || accept === '') return options.pretty ? { ...PLAIN_JSON, pretty: true } : PLAIN_JSON
  let representation = remembered.get(accept)
  if (representation === undefined) {
    representation = chooseRepresentation(accept)
    if (remembered.size === REMEMBERED_MAX) remembered.clear()
    remembered.set(accept, representation)
  }
  return options.pretty ? { ...representation, pretty: true } : representation
}

interface Clause {
  readonly representation: Representation
  readonly quality: number
}

function chooseRepresentation(accept: string): Representation {
  const clauses = accept.split(',').flatMap(readClause)
  const best = clauses.reduce<Clause | undefined>((best, clause) => (isBetter(clause, best) ? clause : best), undefined)
  if (best === undefined) throw notAcceptable(Object.values(CONTENT_TYPES))
  return best.representation
}

function isBetter(clause: Clause, best: Clause | undefined): boolean {
  if (best === undefined || clause.quality > best.quality) return true
  if (clause.quality < best.quality) return false
  const { media, as } = clause.representation
  return media === 'json' && best.representation.media === 'protobuf' && as === best.representation.as
}

/** None when the server can't send it. */
function readClause(text: string): Clause[] {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim())
  const media = MEDIA_BY_TYPE.get(type.toLowerCase())
  if (media === undefined) return []
  const parameters = new Map(rest.map((part) => part.split('=', 2) as [string, string]))
  const as = parameters.get('as') ?? ''
  const asVersion = parameters.get('v') ?? ''
  // Tables and the like have no protobuf form here; every client that asks for one lists JSON as well.
  const isKnown =
    TRANSFORMS.has(as) && parameters.get('g') === 'meta.k8s.io' && META_VERSIONS.has(asVersion) && media !== 'protobuf'
  if (as !== '' && !isKnown) return []
  const quality = Number(parameters.get('q') ?? 1)
  if (!(quality > 0)) return []
  return [{ representation: { media, as: as as Representation['as'], asVersion, pretty: false }, quality }]
}
