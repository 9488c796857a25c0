/** Codes of CNI errors. Source: CNI specification 1.1.0, "Error"; from 100 on they are a plugin's own. */
export const CNI_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  inputOutput: 5,
  undecodable: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  unavailable: 50,
  /** Something went wrong that nobody thought of. */
  internal: 100,
  noAddress: 101,
  portTaken: 102,
  notAsItShouldBe: 103,
} as const

export type CniErrorCode = keyof typeof CNI_CODES

/** What the container runtime is told, and shows in the pod's events. */
export class CniError extends Error {
  readonly code: CniErrorCode

  constructor(code: CniErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CniError'
    this.code = code
  }
}

/** The error as CNI's JSON. Of an error that is not a {@link CniError} the message and those of its causes are told. */
export function formatCniError(error: unknown, cniVersion: string): string {
  const code = CNI_CODES[error instanceof CniError ? error.code : 'internal']
  const details = describeCauses(error)
  const msg = error instanceof Error ? error.message : String(error)
  return JSON.stringify({ cniVersion, code, msg, ...(details === '' ? {} : { details }) })
}

function describeCauses(error: unknown): string {
  const texts: string[] = []
  let cause = error instanceof Error ? error.cause : undefined
  for (let depth = 0; depth < 5 && cause !== undefined; depth++) {
    texts.push(cause instanceof Error ? cause.message : String(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return texts.join(': ')
}
