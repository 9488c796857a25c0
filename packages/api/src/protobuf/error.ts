/** Bytes that are not what they claim to be, or an object that has no protobuf form. The message names the field. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}
