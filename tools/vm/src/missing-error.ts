/** Something that a virtual machine needs can't be had here; the message says what, and what to do. Tests may skip for this one alone. */
export class MissingError extends Error {
  override readonly name = 'MissingError'
}
