import type { AdmissionStep } from './admission.ts'

export interface AdmissionOptions {
  /** Address at which pods and clients reach this server; names the endpoints of the `kubernetes` Service. */
  readonly advertiseAddress?: string | undefined
  readonly advertisePort?: number | undefined
}

/** The admission steps in the order in which they run. */
export function builtInAdmission(_options: AdmissionOptions): readonly AdmissionStep[] {
  return []
}
