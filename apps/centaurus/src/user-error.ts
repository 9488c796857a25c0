/** Something that the person at the terminal can mend. Printed as it is, without a stack; the process ends with code 1. */
export class UserError extends Error {
  override readonly name = 'UserError'
}
