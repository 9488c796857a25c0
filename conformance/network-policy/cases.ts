import { COMBINED_CASES } from './combined-cases.ts'
import type { PolicyCase } from './policy-case.ts'
import { UPSTREAM_CASES } from './upstream-cases.ts'

/** What upstream's end-to-end tests and a generator like cyclonus ask of NetworkPolicy. */
export const POLICY_CASES: readonly PolicyCase[] = [...UPSTREAM_CASES, ...COMBINED_CASES]

export { UPSTREAM_CASES }
