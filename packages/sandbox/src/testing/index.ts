export { containerConfig } from '../cases/container.ts'
export { buildGuests, listCases } from '../cases/run-cases.ts'
export { diffCase, parseDiffering, parseTranscript } from '../cases/transcript.ts'
