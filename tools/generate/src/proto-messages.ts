import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One field of a published .proto message. */
export interface ProtoField {
  readonly name: string
  readonly number: number
  readonly label: 'optional' | 'repeated' | 'map'
  /** Scalar name, or the full name of a message such as `k8s.io.api.core.v1.PodSpec`; of a map, that of its values. */
  readonly type: string
}

const SCALARS = new Set(['string', 'int32', 'int64', 'bool', 'bytes', 'double'])
const FIELD = /^ {2}(optional|repeated|map<string,) ([.\w]+)>? (\w+) = (\d+);$/

/** Messages of the package in `dir` by name, with their fields by number; empty when it has no .proto file. */
export function readProtoMessages(dir: string): Map<string, Map<number, ProtoField>> {
  const file = join(dir, 'generated.proto')
  return existsSync(file) ? parseProtoMessages(readFileSync(file, 'utf8')) : new Map()
}

export function parseProtoMessages(source: string): Map<string, Map<number, ProtoField>> {
  const messages = new Map<string, Map<number, ProtoField>>()
  const packageName = /^package ([\w.]+);$/m.exec(source)?.[1] ?? ''
  let open: Map<number, ProtoField> | undefined
  for (const line of source.split('\n')) {
    const start = /^message (\w+) \{$/.exec(line)
    if (start !== null) messages.set(start[1]!, (open = new Map()))
    const field = FIELD.exec(line)
    if (open === undefined || field === null) continue
    const [, label, type, name, number] = field
    open.set(Number(number), {
      name: name!,
      number: Number(number),
      label: label === 'map<string,' ? 'map' : (label as 'optional' | 'repeated'),
      type: resolveType(type!, packageName),
    })
  }
  return messages
}

function resolveType(type: string, packageName: string): string {
  if (type.startsWith('.')) return type.slice(1)
  return SCALARS.has(type) ? type : `${packageName}.${type}`
}
