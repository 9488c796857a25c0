export { checkStoredClaims, readNominated, readStoredClaims, type StoredClaim } from './check-claims.ts'
export { withFaults, type StoreFaults } from './faulty-store.ts'
