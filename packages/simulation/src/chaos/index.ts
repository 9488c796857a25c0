export type { Plane, PlaneOptions, PlanePart, StartPlane } from './plane.ts'
export { ChaosError, runChaosRound, type ChaosRoundOptions, type ChaosRoundReport } from './run.ts'
