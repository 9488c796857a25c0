/**
 * The one description of fields that drives decoding, field validation, strategic merge patch, server-side apply, pruning and
 * protobuf. Built-in kinds get theirs from the generator; a CustomResourceDefinition's is made from its OpenAPI schema.
 */
export interface StructSchema {
  /** Name of the type for messages, such as `io.k8s.api.core.v1.PodSpec`; empty for an inline object. */
  readonly name: string
  readonly fields: ReadonlyMap<string, FieldSchema>
  /** Unknown fields are kept and never reported (x-kubernetes-preserve-unknown-fields, RawExtension). */
  readonly preserveUnknownFields?: boolean | undefined
}

/** What a value may be. `int64` and `int32` are JSON numbers; `bytes` is base64 text; times are RFC 3339 text. */
export type ScalarType =
  | 'string'
  | 'int32'
  | 'int64'
  | 'double'
  | 'boolean'
  | 'bytes'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'quantity'
  | 'intOrString'

export type ValueSchema =
  | { readonly type: ScalarType }
  /** Resolved lazily, since types refer to each other. */
  | { readonly type: 'struct'; readonly struct: () => StructSchema; readonly mapType?: 'atomic' | undefined }
  | { readonly type: 'map'; readonly values: ValueSchema; readonly mapType?: 'atomic' | undefined }
  | {
      readonly type: 'list'
      readonly items: ValueSchema
      /** Absent means atomic. */
      readonly listType?: 'atomic' | 'set' | 'map' | undefined
      /** For `listType: 'map'`, the fields that identify an item. */
      readonly listMapKeys?: readonly string[] | undefined
      /** Defaults of key fields, used when an item leaves them out (such as `protocol` of a port). */
      readonly listMapKeyDefaults?: Readonly<Record<string, unknown>> | undefined
    }
  /** Anything (RawExtension, JSON): kept as it is, owned as a whole. */
  | { readonly type: 'any' }

export interface FieldSchema {
  readonly value: ValueSchema
  readonly required?: boolean | undefined
  /** From x-kubernetes-patch-strategy. */
  readonly patchStrategy?: readonly ('merge' | 'replace' | 'retainKeys')[] | undefined
  readonly patchMergeKey?: string | undefined
  /** Default that the published OpenAPI v3 gives. */
  readonly default?: unknown
  readonly enum?: readonly string[] | undefined
  /** The JSON `null` is kept as a value (CRD `nullable`). */
  readonly nullable?: boolean | undefined
  /**
   * What upstream's JSON has when the field was not set: `{}`, `0`, `''`, `false`, `'0'`, or `null` for lists, maps and times.
   * Undefined: nothing.
   */
  readonly zero?: unknown
  /** Protobuf field number; absent when the type has no protobuf form. */
  readonly protobuf?: number | undefined
}
