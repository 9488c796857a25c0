import { notAcceptable } from '@centaurus/api'

const JSON_TYPE = 'application/json'
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

/** How partitions are asked, and so how the merged answer is written. */
export interface MergeFormat {
  readonly media: 'json' | 'protobuf'
  /** The `Accept` header for the partitions. */
  readonly accept: string
}

/**
 * Chooses JSON when the client takes it in any form (such as a Table), else protobuf: JSON can be merged without being parsed. The
 * client's order is kept. Throws NotAcceptable when it wants neither.
 */
export function chooseFormat(accept: string | undefined): MergeFormat {
  if (accept === undefined || accept.trim() === '') return { media: 'json', accept: JSON_TYPE }
  const clauses = accept.split(',').map((clause) => clause.trim())
  const json = clauses.flatMap((clause) => {
    const type = clause.split(';', 1)[0]!.trim().toLowerCase()
    if (type === JSON_TYPE) return [clause]
    return type === '*/*' || type === 'application/*' ? [JSON_TYPE] : []
  })
  if (json.length > 0) return { media: 'json', accept: json.join(',') }
  const hasProtobuf = clauses.some((clause) => clause.split(';', 1)[0]!.trim().toLowerCase() === PROTOBUF_TYPE)
  if (hasProtobuf) return { media: 'protobuf', accept: PROTOBUF_TYPE }
  throw notAcceptable([JSON_TYPE, PROTOBUF_TYPE])
}
