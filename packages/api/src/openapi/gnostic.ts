/**
 * The protobuf form of the OpenAPI v2 document that kubectl and helm ask for. Field numbers are those of gnostic-models
 * openapiv2/OpenAPIv2.proto (package openapi.v2), v0.7.0. Only what our documents hold can be written.
 */
import { ReverseWriter } from '../protobuf/writer.ts'
import type { SchemaJson } from './types.ts'

/** Writes one field with its tag. The writer goes backwards, so what comes last in the bytes is written first. */
type WriteField = (writer: ReverseWriter, number: number, value: unknown) => void

/** Fields of a message, by ascending number. */
interface Message {
  readonly fields: readonly (readonly [json: string, number: number, write: WriteField])[]
  /** Number of `vendor_extension`, which takes every member that begins with `x-`. */
  readonly extensions?: number
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2

const text: WriteField = (writer, number, value) => {
  writer.writeText(String(value))
  writer.writeVarint32((number << 3) | BYTES)
}
const flag: WriteField = (writer, number, value) => {
  if (value !== true) return
  writer.writeVarint32(1)
  writer.writeVarint32((number << 3) | VARINT)
}
const integer: WriteField = (writer, number, value) => {
  writer.writeInt(value as number)
  writer.writeVarint32((number << 3) | VARINT)
}
const double: WriteField = (writer, number, value) => {
  writer.writeDouble(value as number)
  writer.writeVarint32((number << 3) | FIXED64)
}

/** A value of any shape, as YAML text: JSON is YAML. */
const any: WriteField = (writer, number, value) =>
  writeMessage(writer, number, () => text(writer, 2, JSON.stringify(value)))

function writeMessage(writer: ReverseWriter, number: number, content: () => void): void {
  const before = writer.length
  content()
  writer.writeVarint32(writer.length - before)
  writer.writeVarint32((number << 3) | BYTES)
}

function list(write: WriteField): WriteField {
  return (writer, number, value) => {
    for (const item of [...(value as readonly unknown[])].reverse()) write(writer, number, item)
  }
}

/** A list of name and value, which is what gnostic makes of a map. */
function named(write: WriteField): WriteField {
  return (writer, number, value) => {
    for (const [name, item] of Object.entries(value as SchemaJson).reverse()) {
      writeMessage(writer, number, () => {
        write(writer, 2, item)
        text(writer, 1, name)
      })
    }
  }
}

/** A message whose only field is `number`. */
function wrapped(inner: number, write: WriteField): WriteField {
  return (writer, number, value) => writeMessage(writer, number, () => write(writer, inner, value))
}

function message(describe: () => Message): WriteField {
  return (writer, number, value) =>
    writeMessage(writer, number, () => writeFields(writer, describe(), value as SchemaJson))
}

function writeFields(writer: ReverseWriter, { fields, extensions }: Message, object: SchemaJson): void {
  if (extensions !== undefined) {
    const entries = Object.entries(object).filter(([key]) => key.startsWith('x-'))
    named(any)(writer, extensions, Object.fromEntries(entries))
  }
  for (let i = fields.length - 1; i >= 0; i--) {
    const [json, number, write] = fields[i]!
    const value = object[json]
    if (value !== undefined) write(writer, number, value)
  }
}

const schema = message(() => SCHEMA)

const additionalProperties: WriteField = (writer, number, value) =>
  writeMessage(writer, number, () => (typeof value === 'boolean' ? flag(writer, 2, value) : schema(writer, 1, value)))

/** TypeItem: one name, or several. */
const type: WriteField = (writer, number, value) =>
  wrapped(1, list(text))(writer, number, Array.isArray(value) ? value : [value])

const SCHEMA: Message = {
  fields: [
    ['$ref', 1, text],
    ['format', 2, text],
    ['title', 3, text],
    ['description', 4, text],
    ['default', 5, any],
    ['multipleOf', 6, double],
    ['maximum', 7, double],
    ['exclusiveMaximum', 8, flag],
    ['minimum', 9, double],
    ['exclusiveMinimum', 10, flag],
    ['maxLength', 11, integer],
    ['minLength', 12, integer],
    ['pattern', 13, text],
    ['maxItems', 14, integer],
    ['minItems', 15, integer],
    ['uniqueItems', 16, flag],
    ['maxProperties', 17, integer],
    ['minProperties', 18, integer],
    ['required', 19, list(text)],
    ['enum', 20, list(any)],
    ['additionalProperties', 21, additionalProperties],
    ['type', 22, type],
    ['items', 23, wrapped(1, schema)],
    ['properties', 25, wrapped(1, named(schema))],
    ['example', 30, any],
  ],
  extensions: 31,
}

/** Parameters in the path and the query have the same fields under numbers that differ by one from `type` on. */
function nonBody(shift: number): WriteField {
  return message(() => ({
    fields: [
      ['required', 1, flag],
      ['in', 2, text],
      ['description', 3, text],
      ['name', 4, text],
      ['type', 5 + shift, text],
      ['uniqueItems', 19 + shift, flag],
    ],
  }))
}

const queryParameter = nonBody(1)
const pathParameter = nonBody(0)
const bodyParameter = message(() => ({
  fields: [
    ['description', 1, text],
    ['name', 2, text],
    ['in', 3, text],
    ['required', 4, flag],
    ['schema', 5, schema],
  ],
}))

const parameter: WriteField = (writer, number, value) => {
  const place = (value as SchemaJson)['in']
  writeMessage(writer, number, () => {
    if (place === 'body') bodyParameter(writer, 1, value)
    else if (place === 'path') wrapped(4, pathParameter)(writer, 2, value)
    else wrapped(3, queryParameter)(writer, 2, value)
  })
}

const parametersItem: WriteField = (writer, number, value) => {
  const reference = (value as SchemaJson)['$ref']
  if (reference === undefined) wrapped(1, parameter)(writer, number, value)
  else wrapped(2, wrapped(1, text))(writer, number, reference)
}

const response = message(() => ({
  fields: [
    ['description', 1, text],
    ['schema', 2, wrapped(1, schema)],
  ],
}))

const operation = message(() => ({
  fields: [
    ['tags', 1, list(text)],
    ['description', 3, text],
    ['operationId', 5, text],
    ['produces', 6, list(text)],
    ['consumes', 7, list(text)],
    ['parameters', 8, list(parametersItem)],
    ['responses', 9, wrapped(1, named(wrapped(1, response)))],
    ['schemes', 10, list(text)],
  ],
  extensions: 13,
}))

const pathItem = message(() => ({
  fields: [
    ['get', 2, operation],
    ['put', 3, operation],
    ['post', 4, operation],
    ['delete', 5, operation],
    ['options', 6, operation],
    ['head', 7, operation],
    ['patch', 8, operation],
    ['parameters', 9, list(parametersItem)],
  ],
}))

const apiKey = message(() => ({
  fields: [
    ['type', 1, text],
    ['name', 2, text],
    ['in', 3, text],
    ['description', 4, text],
  ],
}))

const DOCUMENT: Message = {
  fields: [
    ['swagger', 1, text],
    [
      'info',
      2,
      message(() => ({
        fields: [
          ['title', 1, text],
          ['version', 2, text],
        ],
      })),
    ],
    ['paths', 8, wrapped(2, named(pathItem))],
    ['definitions', 9, wrapped(1, named(schema))],
    ['parameters', 10, wrapped(1, named(parameter))],
    ['security', 12, list(wrapped(1, named(wrapped(1, list(text)))))],
    ['securityDefinitions', 13, wrapped(1, named(wrapped(2, apiKey)))],
  ],
}

/** The document as bytes of media type `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`. */
export function encodeOpenApiV2(document: SchemaJson): Uint8Array {
  const writer = new ReverseWriter()
  writeFields(writer, DOCUMENT, document)
  return writer.finish()
}
