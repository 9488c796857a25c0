export type { PolicySet } from '../policy/policy-set.ts'
